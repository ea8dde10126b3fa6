# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Runs both models on the card under $driver, compares them with the card in process, and unloads the driver: what load.sh
# and qaic.sh share.
# shellcheck source=card.sh
. /lib/card.sh

: "${driver:?the test names it}"
address=$(card 1)
check "the driver" [ "$(driver_of "$address")" = "$driver" ]
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
in=$(counter 1 bytes_in)
check "text is the same" run tiny-llama-stories --prompt "$(cat /models/prompt)"
steps=$(($(counter 1 inferences) - before))
in=$(($(counter 1 bytes_in) - in))
echo "# $steps steps, $in bytes to the card"
# 64 of control, then a token and a position, 8 each, for one of the 32 that there is room for; all of them for the prompt
check "what a step does not use does not move" [ "$in" -eq $((steps * (64 + 32 * 8 + 8) + 31 * 8)) ]
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
check "unload" unload "$driver"
if [ "$SETUP" = iommu ]; then
    mapped 1 >/out/mapped
    check "nothing is left mapped" [ ! -s /out/mapped ]
fi
plan
