#!/usr/bin/env bash
# TensorFlow 2.21.0: tf.random.experimental.index_shuffle uses the lowest byte of each of the two
# words of its seed, and nothing else. Seeds that differ in any of the 24 (of int32) or 56 bits (of
# int64) above it give the same permutation; there are 65,536 seeds in all. With seeds that
# stateless_fold_in makes, as the documentation of both invites to, the second word is the number
# that was folded in: where that stays the same there are 256 permutations for a whole training,
# and by the birthday problem an epoch of about twenty repeats one.
#
# stateless_uniform and its like use all bits of such seeds. Who wants an order for each epoch can
# sort by stateless random bits.
#
# Seen with TensorFlow 2.21.0 (tensorflow-cpu), Python 3.11. Output:
#     TensorFlow 2.21.0
#     bits of the first word of an int64 seed that count: 0 to 7
#     bits of the second word of an int64 seed that count: 0 to 7
#     bits of the first word of an int32 seed that count: 0 to 7
#     stateless_uniform, bits of the first word that count: 0 to 62
#     different permutations of 20 numbers by 2000 folded seeds: 256
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON' | tee "$folder/output"
import tensorflow as tf


def order(seed, size=20):
    return bytes(tf.random.experimental.index_shuffle(tf.range(size), seed, size - 1).numpy().tolist())


def counting(draw, word, bits, dtype):
    flipped = [[0, 0] for _ in range(bits)]
    for bit, seed in enumerate(flipped):
        seed[word] = 1 << bit
    same = draw(tf.constant([0, 0], dtype))
    found = [bit for bit, seed in enumerate(flipped) if draw(tf.constant(seed, dtype)) != same]
    return f"{found[0]} to {found[-1]}" if found == list(range(found[0], found[-1] + 1)) else found


print("TensorFlow", tf.__version__)
for word, name in enumerate(("first", "second")):
    counted = counting(order, word, 63, tf.int64)
    print(f"bits of the {name} word of an int64 seed that count: {counted}")
counted = counting(order, 0, 31, tf.int32)
print(f"bits of the first word of an int32 seed that count: {counted}")
uniform = lambda seed: tf.random.stateless_uniform([4], seed).numpy().tobytes()
print("stateless_uniform, bits of the first word that count:", counting(uniform, 0, 63, tf.int64))
fold = tf.random.experimental.stateless_fold_in
orders = {order(fold(tf.constant([0, epoch], tf.int64), tf.constant(1234, tf.int64))) for epoch in range(2000)}
print("different permutations of 20 numbers by 2000 folded seeds:", len(orders))
PYTHON
diff <(sed -n 's/^#     //p' "$0") "$folder/output"
echo "as described"
