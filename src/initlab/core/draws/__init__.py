"""Where numbers come from: streams of bits, and the entries that follow from them."""
