"""MNIST's arrays for the benchmarks that train on them: the real images where a folder has them, else noise."""

import gzip
from pathlib import Path

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_path(folder, name):
    """The file of that name, plain or gzipped, here or in a folder below; None where there is none."""
    spellings = {name, name.replace("-idx", ".idx")}
    found = [p for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.name.removesuffix(".gz") in spellings]
    return found[0] if found else None


def read_idx(path):
    import numpy as np

    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def arrays(folder):
    """The rows and what they are, in words."""
    import numpy as np

    paths = [idx_path(folder, name) for name in FILES] if folder else [None]
    if all(paths):
        x, y, x_test, y_test = (read_idx(path) for path in paths)
        flat = [np.float32(images.reshape(len(images), -1)) / np.float32(255) for images in (x, x_test)]
        return (flat[0], np.int32(y), flat[1], np.int32(y_test)), f"real MNIST from {folder}"
    rng = np.random.default_rng(0)
    noise = [rng.random((n, 784), np.float32) for n in (60_000, 10_000)]
    labels = [rng.integers(0, 10, n).astype(np.int32) for n in (60_000, 10_000)]
    return (noise[0], labels[0], noise[1], labels[1]), "noise of MNIST's shape (no FOLDER or INITLAB_DATA given)"
