# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# card: --nsps 16 --trace OUT/trace
# module: qeff
# program: qeff-load
# model: tiny-llama-stories --num-cores 16
# model: tiny-bert-embed --num-cores 16 --pooling mean --normalize
# firmware
# seconds: 60
# The packages of both models on the card: the same tokens and the same vector as the card in process gives.
driver=qeff
# shellcheck source=models.sh
. /lib/models.sh
