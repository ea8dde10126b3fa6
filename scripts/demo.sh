#!/bin/sh
# SPDX-License-Identifier: MIT
# From checkpoints to text and embeddings: compiles the two bundled models, loads them, prints what they say.
set -eu

tools=$1/tools
out=$1/demo
models=tests/data/models
mkdir -p "$out"

# Shows a command, then runs it; its output may go elsewhere, the command is shown all the same.
exec 3>&1
step() {
    printf '\n$' >&3
    for word; do
        case $word in
        *' '*) printf ' "%s"' "$word" >&3 ;;
        *) printf ' %s' "$word" >&3 ;;
        esac
    done
    printf '\n' >&3
    "$@"
}

step "$tools/qeff-compile" $models/tiny-llama-stories -o "$out/stories.qpc" --num-cores 16
step "$tools/qeff-load" "$out/stories.qpc" --max-new-tokens 48 \
    --prompt "It was in the evening, and the whole party were assembled in the drawing-room, when she"

step "$tools/qeff-compile" $models/tiny-bert-embed -o "$out/embed.qpc" --num-cores 16 --pooling mean --normalize
step "$tools/qeff-load" "$out/embed.qpc" \
    --text "The king went up to the house of the Lord." \
    --text "The prophet spoke to the people of Israel in the temple." \
    --text "She danced with the gentleman at the ball in the evening." >"$out/embeddings.txt"
# the vectors are long: their beginnings are enough here
cut -c 1-100 "$out/embeddings.txt"
