# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 16 --trace OUT/trace-qaic
# module: qaic
# program: qeff-load
# model: tiny-llama-stories --num-cores 16
# model: tiny-bert-embed --num-cores 16 --pooling mean --normalize
# firmware
# append: lockdep.prove_locking=0
# seconds: 60
# Mainline's own driver of the card, from Debian's kernel source: the card boots under it, and our library runs on it
# unchanged, with the same words as on our module. So the card is true, and our use of the interface is right. (On the kernel that watches
# itself locks are not proven here: that driver takes one in both contexts of the processor, which ends the proof.)
driver=qaic
# shellcheck source=models.sh
. /lib/models.sh
