"""Faults that are planted in small models, each beside its healthy twin: found where they are, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import initlab
from initlab.probing.diagnosis import Diagnosis

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

WIDTH, DEPTH = 64, 6


class Block(nn.Module):
    """Attention and two layers, each behind a norm and beside a skip, by names that no recipe knows."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        rows, tokens, width = x.shape
        parts = self.qkv(self.ln1(x)).chunk(3, -1)
        q, k, v = (p.view(rows, tokens, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.fc2(functional.gelu(self.fc1(self.ln2(x))))


class HandGpt(nn.Module):
    """A decoder at GPT-2's std, its residual projections scaled by 1/sqrt(2L) or not."""

    def __init__(self, *, scaled: bool = True) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(100, WIDTH), nn.Embedding(16, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, 4) for _ in range(DEPTH))
        self.ln, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 100, bias=False)
        for name, p in self.named_parameters():
            last = scaled and name.endswith(("proj.weight", "fc2.weight"))
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * DEPTH) if last else 0.02)
            elif "ln" not in name:
                nn.init.zeros_(p)

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


def he_net():
    layers: list[nn.Module] = []
    for at in range(8):
        linear = nn.Linear(128 if at else 64, 128)
        nn.init.normal_(linear.weight, std=math.sqrt((2.0 if at else 1.0) / linear.in_features))
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(32, 64, 2, batch_first=True), nn.Linear(64, 5)
        with torch.no_grad():
            for name, p in self.cells.named_parameters():
                if "bias" in name:  # a gate that keeps is open: the same numbers in both layers
                    p.zero_()[64:128] = 1.0 if "ih" in name else 0.0

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


def decoder_images():
    """Down by strides and up again by transposed convolutions at He's std."""
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
        nn.Conv2d(32, 3, 3, 1, 1),
    )  # fmt: skip
    for layer in net[::2]:
        axis = 0 if isinstance(layer, nn.ConvTranspose2d) else 1
        terms = layer.weight.shape[axis] * layer.kernel_size[0] ** 2 / (4 if axis == 0 else 1)
        nn.init.normal_(layer.weight, std=math.sqrt((1.0 if layer.in_channels == 3 else 2.0) / terms))
        nn.init.zeros_(layer.bias)
    return net


def one_layer_times_100(net) -> None:
    net[6].weight.mul_(100.0)


def one_layer_up_the_next_down(net) -> None:
    net[6].weight.mul_(100.0)
    net[8].weight.mul_(0.01)


def half_of_the_biases_at_minus_10(net) -> None:
    for layer in net[:-1:2]:
        layer.bias[:64] = -10.0


def first_units_alike(net) -> None:
    net[0].weight.copy_(net[0].weight[:1].expand_as(net[0].weight))


def one_layer_below_float16(net) -> None:
    net[4].weight.mul_(1e-5)


def one_block_of_memory(net) -> None:
    for p in net.blocks[3].parameters():
        p.fill_(1e30)


def one_scale_nan(net) -> None:
    net.blocks[3].ln2.weight.fill_(math.nan)


def two_heads_cloned(net) -> None:
    for block in net.blocks:
        heads = block.qkv.weight.view(3, 4, WIDTH // 4, WIDTH)
        heads[:, 1] = heads[:, 0]


def embedding_of_equal_rows(net) -> None:
    net.tok.weight.copy_(net.tok.weight[:1].expand_as(net.tok.weight))


def zero_scales_and_projections(net) -> None:
    for block in net.blocks:
        block.ln1.weight.zero_()
        block.proj.weight.zero_()


def sharp_queries(net) -> None:
    for block in net.blocks:
        block.qkv.weight.mul_(60.0)


def loud_recurrent_weights(net) -> None:
    for name, p in net.cells.named_parameters():
        if "weight_hh" in name:
            p.mul_(50.0)


def a_few_huge_entries(net) -> None:
    net.blocks[3].fc1.weight.view(-1)[::100] = 1e5


def one_huge_entry(net) -> None:
    net[6].weight[3, 5] = 1e3


def transposed_fans(net) -> None:
    for layer in net:
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=math.sqrt(2.0 / (layer.weight.shape[1] * 16 * 4)))


PLANTED: dict[Callable[..., None], tuple[Callable[[], nn.Module], str]] = {
    one_layer_times_100: (he_net, "exploding forward signal"),
    one_layer_up_the_next_down: (he_net, "layer out of scale"),
    half_of_the_biases_at_minus_10: (he_net, "dead units"),
    first_units_alike: (he_net, "equal units"),
    one_layer_below_float16: (lambda: he_net().half(), "low-precision underflow"),
    one_block_of_memory: (HandGpt, "uninitialised values"),
    one_scale_nan: (HandGpt, "uninitialised values"),
    two_heads_cloned: (HandGpt, "equal units"),
    embedding_of_equal_rows: (HandGpt, "equal embeddings"),
    zero_scales_and_projections: (HandGpt, "zero weights that block learning"),
    sharp_queries: (HandGpt, "attention at its floor"),
    loud_recurrent_weights: (Recurrent, "saturated units"),
    transposed_fans: (decoder_images, "vanishing forward signal"),
    a_few_huge_entries: (HandGpt, "outlying weights"),
    one_huge_entry: (he_net, "outlying weights"),
}


def drawn(build: Callable[[], nn.Module]):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build()


def diagnosed(net) -> Diagnosis:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        ids, classes = torch.randint(0, 100, (8, 16)), torch.randint(0, 10, (32,))
        x, images, words = torch.randn(32, 64), torch.randn(16, 3, 16, 16), torch.randn(16, 12, 32)
    if isinstance(net, HandGpt):
        found = initlab.probe(net, ids, ids)
    elif isinstance(net, Recurrent):
        found = initlab.probe(net, words, classes[:16] % 5)
    elif isinstance(net[0], nn.Conv2d):
        found = initlab.probe(net, images, images)
    else:
        found = initlab.probe(net, x.to(net[0].weight.dtype), classes)
    return found.diagnose()


@pytest.mark.parametrize("build", [he_net, lambda: he_net().half(), HandGpt, Recurrent, decoder_images])
def test_the_healthy_twin_has_no_alarm(build: Callable[[], nn.Module]) -> None:
    found = diagnosed(drawn(build))
    assert found.healthy, str(found)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[..., None]) -> None:
    build, kind = PLANTED[plant]
    net = drawn(build)
    with torch.no_grad():
        plant(net)
    found = diagnosed(net)
    assert kind in {finding.kind for finding in found.findings}, str(found)
    # Fans of the wrong axis cost a factor of 100 over four layers: a learning rate makes up for it.
    assert found.healthy == (plant is transposed_fans), str(found)


def planted(plant: Callable[..., None]) -> Diagnosis:
    net = drawn(PLANTED[plant][0])
    with torch.no_grad():
        plant(net)
    return diagnosed(net)


def test_the_layer_that_makes_most_of_an_explosion_is_named_first() -> None:
    found = planted(one_layer_times_100)
    for kind in ("exploding forward signal", "exploding gradient"):
        finding = next(f for f in found.findings if f.kind == kind)
        assert finding.where[0] == "6"
        assert "most of it at '6'" in finding.what


def test_biases_of_two_values_are_no_cloned_layers() -> None:
    assert "cloned layers" not in planted(half_of_the_biases_at_minus_10)


def test_nothing_is_said_of_an_attention_over_nan() -> None:
    assert "attention at its floor" not in planted(one_scale_nan)


def test_copied_biases_of_layers_that_were_drawn_anew_are_a_note() -> None:
    def build():
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        net = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        for p in net.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)
        return net

    found = initlab.probe(drawn(build), torch.randn(8, 16, 64, generator=torch.Generator().manual_seed(0))).diagnose()
    assert [(f.kind, f.severity) for f in found.findings] == [("cloned layers", "note")]


def test_zero_queries_of_different_tokens_are_a_note_under_a_causal_mask() -> None:
    net = drawn(HandGpt)
    with torch.no_grad():
        for block in net.blocks:
            block.qkv.weight[:WIDTH].zero_()
    found = diagnosed(net)
    assert found.healthy, str(found)
    assert "attention at its ceiling" in found


# What writes into the residual stream


def test_a_stream_that_grows_is_told_with_the_layers_that_write_into_it() -> None:
    net = drawn(HandGpt)
    with torch.no_grad():
        for block in net.blocks:
            block.proj.weight.mul_(40.0)
            block.fc2.weight.mul_(40.0)
    found = diagnosed(net)
    finding = next(f for f in found.findings if f.kind == "growing residual stream")
    assert finding.severity == "note"
    written = [f"blocks.{at}.{name}" for at in range(DEPTH) for name in ("proj", "fc2")]
    assert list(finding.where[2:]) == written
    assert "(blocks.*.proj, blocks.*.fc2) by 1/sqrt(12) = 0.289" in finding.fix


def test_the_gpt2_recipe_finds_the_residual_projections_by_their_place() -> None:
    ids = torch.zeros(2, 16, dtype=torch.long)
    audit = initlab.audit(drawn(lambda: HandGpt(scaled=False)), "gpt2", example=ids)
    wrong = {row.native for row in audit if row.verdict == "wrong"}
    assert wrong == {f"blocks.{at}.{name}.weight" for at in range(DEPTH) for name in ("proj", "fc2")}
    assert all("never got its 1/sqrt(2L) = 0.2887, L = 6" in row.why for row in audit if row.verdict == "wrong")
    assert initlab.audit(drawn(HandGpt), "gpt2", example=ids).ok


def test_projections_of_which_some_have_known_names_are_all_counted() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln, self.attn = nn.LayerNorm(WIDTH), nn.ModuleDict({"proj": nn.Linear(WIDTH, WIDTH)})
            self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

        def forward(self, x):
            x = x + self.attn["proj"](self.ln(x))
            return x + self.down(functional.gelu(self.up(x)))

    def build():
        net = nn.Sequential(nn.Linear(8, WIDTH), *[Named() for _ in range(4)], nn.Linear(WIDTH, 8))
        for name, p in net.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02 / math.sqrt(8) if "proj" in name or "down" in name else 0.02)
            elif "ln" not in name:
                nn.init.zeros_(p)
        return net

    assert initlab.audit(drawn(build), "gpt2").ok


def zero_row(net) -> None:
    net.tok.weight[7] = 0.0


@pytest.mark.parametrize(
    ("plant", "name", "words"),
    [
        (two_heads_cloned, "blocks.0.qkv.weight", "48 of 192 rows are equal to another one"),
        (zero_row, "tok.weight", "1 of 100 rows hold one number, e.g. 0"),
    ],
)
def test_rows_that_no_draw_makes_are_wrong(plant: Callable[..., None], name: str, words: str) -> None:
    net = drawn(HandGpt)
    with torch.no_grad():
        plant(net)
    wrong = {row.native: row.why for row in initlab.audit(net, "normal(std=0.02)").wrong}
    assert words in wrong[name]


def test_a_lock_of_a_model_with_a_zero_row_holds_that_model() -> None:
    net = drawn(HandGpt)
    with torch.no_grad():
        zero_row(net)
    assert initlab.audit(net, initlab.lock(net, None)).ok


def test_auto_is_said_to_mend_a_stack_of_sigmoids_and_no_other_scheme() -> None:
    def build():
        return nn.Sequential(*[part for _ in range(8) for part in (nn.Linear(64, 64), nn.Sigmoid())], nn.Linear(64, 10))

    found = initlab.probe(drawn(build), torch.randn(32, 64, generator=torch.Generator().manual_seed(0))).diagnose()
    assert {"vanishing gradient", "inputs mapped to one point"} <= {f.kind for f in found.alarms}
    assert {f.scheme for f in found.alarms} == {"auto"}


def with_first_weight(fill: Callable[..., None]):
    net = drawn(he_net)
    with torch.no_grad():
        fill(net[2].weight)
    return net


def identity_and_noise(weight) -> None:
    weight.normal_(std=1e-4)
    weight.add_(torch.eye(len(weight)))


def sparse(weight) -> None:
    nn.init.sparse_(weight, 0.95, std=0.3)


def one_loud_unit(weight) -> None:
    weight[0] *= 5.0


def heavy_tails(weight) -> None:
    weight.copy_(torch.distributions.StudentT(3.0).sample(weight.shape) * 0.07)


@pytest.mark.parametrize("fill", [identity_and_noise, sparse, nn.init.eye_, one_loud_unit, heavy_tails])
def test_weights_of_which_few_are_large_by_their_law_are_not_outlying(fill: Callable[..., None]) -> None:
    assert "outlying weights" not in diagnosed(with_first_weight(fill))


def test_a_table_whose_padding_is_zero_and_whose_words_differ_in_size_is_not_outlying() -> None:
    net = drawn(HandGpt)
    with torch.no_grad():
        net.tok.weight.mul_(torch.logspace(-1, 1, 100)[:, None])
        net.tok.weight[0] = 0.0
    assert "outlying weights" not in diagnosed(net)
