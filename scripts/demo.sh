#!/bin/sh
# SPDX-License-Identifier: MIT
# From checkpoints to text and embeddings: compiles the two bundled models, loads them, prints what they say.
set -eu

build=$1
models=tests/data/models
out=$build/demo
mkdir -p "$out"

step() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

step "$build/tools/qeff-compile" $models/tiny-llama-stories -o "$out/stories.qpc" --num-cores 16
step "$build/tools/qeff-load" "$out/stories.qpc" --max-new-tokens 48 \
    --prompt "It was in the evening, and the whole party were assembled in the drawing-room, when she"

step "$build/tools/qeff-compile" $models/tiny-bert-embed -o "$out/embed.qpc" --num-cores 16 --pooling mean --normalize
step "$build/examples/embed-cosines" "$out/embed.qpc" \
    "The king went up to the house of the Lord." \
    "The prophet spoke to the people of Israel in the temple." \
    "She danced with the gentleman at the ball in the evening."
