# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 16 --trace OUT/trace-qaic
# module: qaic
# program: qeff-load
# model: tiny-llama-stories --num-cores 16
# model: tiny-bert-embed --num-cores 16 --pooling mean --normalize
# firmware
# seconds: 60
# Mainline's own driver of the card, from Debian's kernel source: the card boots under it, and our library runs on it
# unchanged, with the same words as on our module. So the card is true, and our use of the interface is right.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
check "the driver" [ "$(driver_of "$address")" = qaic ]
check "online" within 30 online "$address"

# what is said about time is not compared
words() { # file
    grep -vE '^(time to first token|prefill|decode|total) ' "$1"
}

run() { # model options...
    model=$1
    shift
    qeff-load "/models/$model.qpc" -d "$address" "$@" >"/out/$model.got" 2>/tmp/load.err || {
        cat /tmp/load.err
        return 1
    }
    words "/out/$model.got" >/tmp/got
    words "/models/$model.expected" >/tmp/expected
    cmp /tmp/got /tmp/expected
}

before=$(counter 1 inferences)
check "text is the same" run tiny-llama-stories --prompt "$(cat /models/prompt)"
check "the embedding is the same" run tiny-bert-embed --text "$(cat /models/prompt)"
after=$(counter 1 inferences)
echo "# the card counts $((after - before)) inferences, $(counter 1 elements) elements"
check "it was this card" [ "$after" -gt "$before" ]
qeff-load /models/tiny-llama-stories.qpc -d "$address" --prompt A --max-new-tokens 1 --json >/out/load.json
check "JSON names the device" grep -q "$address" /out/load.json
if [ "$SETUP" = iommu ]; then
    mapped 1 >/out/mapped-before
    check "memory is mapped while the driver is loaded" [ -s /out/mapped-before ]
fi
check "unload" rmmod qaic
if [ "$SETUP" = iommu ]; then
    mapped 1 >/out/mapped
    check "nothing is left mapped" [ ! -s /out/mapped ]
fi
plan
