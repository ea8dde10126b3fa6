#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Prints the tables of lib/text/late.h: the characters that utf8proc classifies or decomposes and the `tokenizers`
package (from pip) does not, since its tables are older. Every code point is compared.
"""
import ctypes

from tokenizers import normalizers, pre_tokenizers

UTF8PROC = ctypes.CDLL("libutf8proc.so.2")
UTF8PROC.utf8proc_category_string.restype = ctypes.c_char_p
UTF8PROC.utf8proc_map.restype = ctypes.c_ssize_t
LIBC = ctypes.CDLL(None)
STABLE, COMPATIBLE, DECOMPOSE = 1 << 1, 1 << 2, 1 << 4
CODE_POINTS = [c for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
CATEGORY = {c: UTF8PROC.utf8proc_category_string(c).decode() for c in CODE_POINTS}


def removed_by(normalizer):
    return {c for c in CODE_POINTS if normalizer.normalize_str("a" + chr(c) + "b") == "ab"}


def decomposed(c):
    text, out = chr(c).encode(), ctypes.c_void_p()
    size = UTF8PROC.utf8proc_map(text, ctypes.c_ssize_t(len(text)), ctypes.byref(out), STABLE | COMPATIBLE | DECOMPOSE)
    result = ctypes.string_at(out, size).decode()
    LIBC.free(out)
    return result


def print_table(name, chars):
    ranges = []
    for c in sorted(chars):
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    print(f"static const struct late_range {name}[] = {{")
    for first, last in ranges:
        print(f"\t{{ {first:#x}, {last:#x} }},")
    print("};\n")


def main():
    bert = normalizers.BertNormalizer
    punctuation = pre_tokenizers.Punctuation()
    split = {c for c in CODE_POINTS if len(punctuation.pre_tokenize_str("a" + chr(c) + "b")) == 3}
    print_table("late_punctuation", {c for c in CODE_POINTS if CATEGORY[c][0] == "P" and c not in split})
    marks = removed_by(bert(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False))
    print_table("late_nonspacing", {c for c in CODE_POINTS if CATEGORY[c] == "Mn" and c not in marks})
    controls = removed_by(bert(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False))
    print_table("late_other", {c for c in CODE_POINTS if CATEGORY[c] in ("Cc", "Cf", "Co") and c not in controls} -
                {9, 10, 13})
    combining = removed_by(normalizers.StripAccents())
    print_table("late_combining", {c for c in CODE_POINTS if CATEGORY[c][0] == "M" and c not in combining})
    form = normalizers.NFKD()
    print_table("late_decomposition", {c for c in CODE_POINTS if form.normalize_str(chr(c)) != decomposed(c)})


if __name__ == "__main__":
    main()
