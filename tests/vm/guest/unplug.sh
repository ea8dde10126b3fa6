# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 16 --fault off-bus@doorbell#300
# card: --nsps 4
# module: qeff
# program: qeff-stat qeff-load
# model: tiny-llama-stories --num-cores 16
# firmware
# seconds: 90
# A card goes off the bus while it works: whoever waits for it is woken with an error, nobody hangs, the card beside it
# keeps working, and the dead one can be removed.
# shellcheck source=card.sh
. /lib/card.sh

address=$(card 1)
other=$(card 2)
check "first card online" within 30 online "$address"
check "second card online" within 30 online "$other"

qeff-load /models/tiny-llama-stories.qpc -d "$address" --prompt A --max-new-tokens 100 --ignore-eos --runs 100000 \
    >/tmp/load.log 2>&1 &
load=$!
gone() { ! kill -0 "$load" 2>/dev/null; }
check "the client is told" within 60 gone
code=0
wait "$load" || code=$?
echo "# exit status $code"
check "by an error" [ "$code" -eq 1 ]
sed 's/^/# /' /tmp/load.log | tail -n 3

check "the card did work before" [ "$(counter 1 inferences)" -gt 10 ]

check "qeff-stat answers" ask --json
check "the second card works" ask -d "$other"
echo 1 >"/sys/bus/pci/devices/$address/remove"
check "removed" [ ! -e "/sys/bus/pci/devices/$address" ]
check "the second card still works" ask -d "$other"
check "unload" unload qeff
plan
