#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Makes the test data of tests/unit/test_tokenizer.c: lines of mixed text, and what the `tokenizers` package (from
pip) makes of them. Run it from the root of the repository; without options it writes tests/data/tokenizer/ anew.

lines.json holds the texts, an array of strings, or {"hex": "..."} where a text is not valid UTF-8. Each
*.vectors.json holds

  tokenizer  path of the tokenizer.json, from tests/data
  lines      indices into lines.json, null for all
  ids        for each line, the ids with special tokens; null means the package failed
  plain      for each line, [how many ids to drop in front, at the end] to get the ids without special tokens,
             or the ids themselves
  decoded    for each line, the text of the plain ids; null where it is the line itself
  skipped    for each line, the text of the ids without special tokens; null where it is "decoded"

pairs.json holds for each tokenizer its path and what it makes of two lines at a time: the indices of both, how many tokens
there may be (0: any number; the longer text is cut first), whether with special tokens, the ids and the type of each.

The small tokenizers next to them, one for each family of parts, are trained here on the same lines.
"""
import argparse
import collections
import json
import os
import random
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

SCRIPTS = [
    "The quick brown fox doesn't jump over the lazy dog; it's 3.14 metres away, isn't it?",
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Victor jagt zwölf Boxkämpfer quer über den großen Sylter Deich. STRASSE Straße",
    "Portez ce vieux whisky au juge blond qui fume, à l'œuvre dès l'été !",
    "¿Dónde está el niño? ¡Allí! El pingüino Wenceslao hizo kilómetros.",
    "İstanbul'da ILIK bir gün: ığdır, İZMİR, şğüçö",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ёлка",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΌΣΟΣ ὈΔΥΣΣΕΎΣ ᾿Αθήνα",
    "זה כיף סתם לשמוע איך תנצח קרפד עץ טוב בגן. שָׁלוֹם",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. بِسْمِ ٱللَّهِ ١٢٣",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश। १२३",
    "இந்த உரை தமிழில் உள்ளது. நன்றி!",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "ກວາງ ມີ ຂາ ສີ່ ຂາ",
    "いろはにほへと ちりぬるを。カタカナ ｶﾀｶﾅ ガ ｶﾞ 漢字かな交じり文",
    "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。简体中文测试：你好，世界！",
    "다람쥐 헌 쳇바퀴에 타고파. 각 각 한글",
    "Chữ Việt có dấu: Tôi yêu tiếng nước tôi, từ khi mới ra đời.",
    "ქართული ენა და დამწერლობა ᲥᲐᲠᲗᲣᲚᲘ",
    "Հայերեն լեզուն և գիրը",
    "አማርኛ ፊደል ፡ ሰላም።",
    "ᚠᛇᚻ᛫ᛒᛦᚦ᛫ᚠᚱᚩᚠᚢᚱ runes",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒎𝒂𝒕𝒉 𝟙𝟚𝟛 𐍈 𝄞 𠀀𠮷 𐐀𐐨",
    "ﬁﬂﬃ ㎞ ℡ ™ ½ ⅔ ² ³ ① ⑳ Ⅷ ⅷ ㋀ ﷺ Ａｂｃ１２３！",
    "ꦲꦤꦕꦫꦏ ᮘᮞ ᬅᬓ᭄ᬱᬭ ꓣꓳ ߒߞߏ ⵜⴰⵎⴰⵣⵉⵖⵜ ᓀᐦᐃᔭᐍᐏᐣ",
    "👋🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 🏳️‍🌈 ✈️ ☎︎ 🧑🏿‍🚀 🫠 1️⃣ #️⃣ 😀😃😄",
    "e\u0301 é e\u0301\u0323 ệ a\u0327\u0301\u0327 \u0301lone \u1100\u1161\u11a8 각 q\u0307\u0323 q\u0323\u0307",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035aalgo",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u180eh\u202ei",
    "tab\tnew\nline\r\ncarriage\rvt\x0bff\x0cnel\x85nbsp\u00a0em\u2003ideographic\u3000ls\u2028ps\u2029end",
    "\x00\x01\x02nul\x00in\x1fthe\x7fmiddle\x80\x9f",
    "                leading and trailing               ",
    "  a  b   c    d     e      f       g        h",
    "\n\n\n\n\t\t\t\t    \n  \n x\n\n",
    "    if (x == 0) {\n\t\treturn foo->bar[i++] << 2; /* comment */\n    }",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\path\\file.txt",
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE I'M WE'LL don't DON'T o'clock ’s ‘quoted’ “double”",
    "12345678901234567890 1,234,567.89 0x1F 1e-5 3½ ٣٤٥ ४५६ Ⅳ 五",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ¡¢£¤¥¦§¨©ª«¬®¯°±²³´µ¶·¸¹º»¼½¾¿×÷",
    "…—–‐‑‒―‖‗‘’‚‛“”„‟†‡•‣․‥‧‰‱′″‴‵‶‷‸‹›※‼‽‾⁂⁃⁄⁅⁆",
    "\u09fd\u0a76\u0c77\u2e43\u2e52\u1b7d ⹏ 𐽕 𑙠 punctuation younger than 2015",
    "a\u08d3b\u0afac\u1acfd\u1dfbe\U0001e000f\U0001e8d0g marks younger than 2015",
    "\u32ff \U00011938 \uab69 \U00010781 \U0001fbf0 decompositions younger than 2018",
    "ſ ﬅ 'ſ K Å Ω ϴ ẞ ǅ ǆ Ǆ ŉ ΐ ﬆ İ i̇ ı I",
    "[CLS] hello [SEP] world [PAD] [MASK] [UNK] ##ing",
    "<s>hello</s><unk><pad><mask> <|begin_of_text|>x<|end_of_text|>y <bos><eos>",
    "<|begin_of_text|><|begin_of_text|> <|end_of_text|>",
    "<0x41><0xE2><0x82><0xAC> ▁▁ ▁a Ġ Ċ Â",
    "x" * 300,
    "ab" * 120 + " " + "é" * 101 + " " + "中" * 30,
    "a\u0300" * 60,
    " " * 70 + "y" + "\n" * 30,
    "",
    " ",
    "\n",
    ".",
    "é",
    "\ufffd",
    "\u0301",
]

# Not UTF-8: stray continuation, overlong, surrogates, beyond U+10FFFF, cut short.
INVALID = [
    b"\x80", b"\xff\xfe", b"a\xc3", b"a\xc3b", b"\xe2\x82", b"x\xe2\x82y", b"\xe2\x82\xe2\x82\xac",
    b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\xf0\x9f", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xed\xa0\x80",
    b"\xed\xbf\xbf z", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xf0\x80\x80\x80",
    b"caf\xe9 latin-1 \xfcber", b"ok \xe4\xb8\xad\xe6\x96 end", b"\xef\xbb\xbfbom", b"\xc2\xa0\xc2", b"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41",
]

# Bytes that never make a character, wherever they are put.
STRAY = b"\x80\x85\x9f\xbf\xc0\xc1\xf5\xff"
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", " \n", "\n\n", "\u2009", ""]
ODD = ["\u200d", "\u0301", "\u0323", "\ufe0f", "\u200b", "\x07", "\x00", "\u00ad", "'s", "'ll", "...", "--", "@", "#tag",
       "42", "007", "1.5e3", "İ", "ß", "中", "한", "ก็", "🙂", "👍🏾", "𝕏", "ﬀ", "<s>", "[SEP]", "▁", "Ġ", "ſ", "Ⅻ"]
# Blocks of scripts in common use and of symbols; of each, what has been assigned since Unicode 3.2, and the first emoji:
# tables of libraries differ in the latest characters.
BLOCKS = [(0x20, 0x7e), (0xa0, 0x17f), (0x250, 0x2af), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x4ff), (0x531, 0x58a),
          (0x5b0, 0x5f4), (0x600, 0x6ff), (0x700, 0x74f), (0x900, 0x97f), (0x980, 0x9fd), (0xb80, 0xbfa), (0xe01, 0xe5b),
          (0xe81, 0xedf), (0xf00, 0xfda), (0x1000, 0x109f), (0x10a0, 0x10ff), (0x1100, 0x11ff), (0x1200, 0x137c),
          (0x13a0, 0x13fd), (0x1780, 0x17f9), (0x1800, 0x18aa), (0x1e00, 0x1eff), (0x1f00, 0x1fff), (0x2000, 0x206f),
          (0x2070, 0x209c), (0x20a0, 0x20bf), (0x20d0, 0x20f0), (0x2100, 0x218b), (0x2190, 0x23ff), (0x2460, 0x24ff),
          (0x2500, 0x27bf), (0x3000, 0x303f), (0x3041, 0x30ff), (0x3131, 0x318e), (0x4e00, 0x9fa5),
          (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfb00, 0xfdff), (0xfe00, 0xfe6f), (0xff01, 0xffee),
          (0x10330, 0x1034a), (0x1d400, 0x1d7ff), (0x1f300, 0x1f64f), (0x1f680, 0x1f6ff), (0x1f910, 0x1f91e),
          (0x20000, 0x20100)]
EMOJI = [(0x1f300, 0x1f64f), (0x1f680, 0x1f6c5), (0x1f910, 0x1f91e)]
OLD = [[chr(c) for c in range(first, last + 1) if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs") or
        any(a <= c <= b for a, b in EMOJI)] for first, last in BLOCKS]


def make_lines(count):
    """The same lines for the same count on every machine."""
    rng = random.Random(20240607)
    lines = [text.encode() for text in SCRIPTS] + list(INVALID)
    words = [word for text in SCRIPTS for word in text.split() if len(word) < 40]
    while len(lines) < count:
        parts = []
        for _ in range(rng.randrange(1, 9)):
            kind = rng.random()
            if kind < 0.5:
                part = rng.choice(words)
            elif kind < 0.75:
                block = rng.choice(OLD)
                part = "".join(rng.choice(block) for _ in range(rng.randrange(1, 6)))
            else:
                part = rng.choice(ODD)
            if rng.random() < 0.15:
                part = part.upper()
            parts.append(part + rng.choice(SPACES))
        line = "".join(parts).encode()
        if rng.random() < 0.12:
            at = rng.randrange(len(line) + 1)
            line = line[:at] + bytes(rng.choice(STRAY) for _ in range(rng.randrange(1, 4))) + line[at:]
        lines.append(line)
    return lines[:count]


def text_of(line):
    return line.decode("utf-8", errors="replace")


def alphabet_of(lines, count):
    """The most frequent characters. The trainer's own limit breaks ties by chance."""
    seen = collections.Counter("".join(text_of(line) for line in lines).replace("\0", ""))
    return sorted(seen, key=lambda c: (-seen[c], c))[:count]


def train(tokenizer, lines, vocab_size, special, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet,
                                  limit_alphabet=len(alphabet), show_progress=False)
    tokenizer.train_from_iterator([text_of(line) for line in lines], trainer)
    return tokenizer


def words_of(tokenizer, lines):
    """How often each word occurs, as the tokenizer cuts."""
    seen = collections.Counter()
    for line in lines:
        text = tokenizer.normalizer.normalize_str(text_of(line))
        seen.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    return seen


def train_affixed(words, vocab, merge_count, prefix="", suffix=""):
    """
    BPE with affixes inside words or at their end: vocabulary and merges. The package's trainer numbers affixed
    characters by chance.
    """
    split = {w: [(prefix if i else "") + c + (suffix if i == len(w) - 1 else "") for i, c in enumerate(w)] for w in words}
    known = set(alphabet_of([w.encode() for w in words for _ in range(words[w])], 120))
    split = {w: parts for w, parts in split.items() if set(w) <= known}
    vocab = vocab + sorted({part for parts in split.values() for part in parts})
    merges = []
    for _ in range(merge_count):
        pairs = collections.Counter()
        for w, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[w]
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        joined = left + right[len(prefix):]
        merges.append((left, right))
        if joined not in vocab:
            vocab.append(joined)
        for parts in split.values():
            i = 0
            while i + 1 < len(parts):
                if parts[i] == left and parts[i + 1] == right:
                    parts[i:i + 2] = [joined]
                i += 1
    return {token: i for i, token in enumerate(vocab)}, merges


def tokenizer_sentencepiece(lines):
    """Prepend and Replace, no pre-tokenizer, byte fallback, decoders of Llama 2; added tokens of all kinds."""
    alphabet = [chr(c) for c in range(0x21, 0x7f)] + ["▁", "é", "中", "д"]
    bytes_ = ["<0x%02X>" % b for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    train(t, lines[:20], 700, ["<unk>", "<s>", "</s>"] + bytes_, alphabet)
    # the bytes are plain entries of the vocabulary
    t = json.loads(t.to_str())
    t["added_tokens"] = t["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(t))
    t.add_tokens([AddedToken("fox", single_word=True, normalized=False), AddedToken("<l>", lstrip=True, normalized=False),
                  AddedToken("<r>", rstrip=True, normalized=False), AddedToken("over the", normalized=True),
                  AddedToken("<both>", lstrip=True, rstrip=True, normalized=True)])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                     special_tokens=[("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    return t


def tokenizer_metaspace(lines):
    """Strip, NFKC and Replace with a pattern, Metaspace ("first"), digits apart, unknown characters not fused."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.Strip(True, False), normalizers.NFKC(),
                                         normalizers.Replace(Regex(r"\s{2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace("▁", "first", True),
                                               pre_tokenizers.Digits(True)])
    train(t, lines[:40], 400, ["<unk>", "</s>"], alphabet_of(lines[:40], 150))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                     special_tokens=[("</s>", 1)])
    t.decoder = decoders.Metaspace("▁", "first", True)
    return t


def tokenizer_llama3(lines):
    """The Split pattern of Llama 3 before ByteLevel without a pattern, ignore_merges, a Sequence of processors."""
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated", False),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    train(t, lines, 600, ["<|begin_of_text|>", "<|end_of_text|>"],
          sorted(pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                            processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                                                          special_tokens=[("<|begin_of_text|>", 0)])])
    t.decoder = decoders.ByteLevel()
    return t


def tokenizer_o200k(lines):
    """The pattern of GPT-4o, inverted and removed; no post-processor."""
    contraction = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    pattern = (rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{contraction}|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{contraction}"
               r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "removed", True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    train(t, lines, 450, ["<|endoftext|>"], sorted(pre_tokenizers.ByteLevel.alphabet()))
    t.decoder = decoders.ByteLevel()
    return t


def tokenizer_roberta(lines):
    """ByteLevel that adds a space in front, RobertaProcessing."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    train(t, lines, 450, ["<s>", "<pad>", "</s>", "<unk>"], sorted(pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    t.decoder = decoders.ByteLevel()
    return t


def tokenizer_bert_cased(lines):
    """WordPiece that keeps case and accents, a short limit on words, BertProcessing."""
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=50))
    t.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False,
                                              lowercase=False)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = words_of(t, lines)
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = alphabet_of(lines, 200)
    vocab += alphabet + ["##" + c for c in alphabet]
    vocab += [w for w in sorted(words, key=lambda w: (-words[w], w)) if 1 < len(w) < 12][:120]
    vocab += sorted({"##" + w[-3:] for w in words if 4 < len(w) < 12})[:100]
    t.model = models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(vocab))}, unk_token="[UNK]",
                               max_input_chars_per_word=50)
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece(cleanup=True)
    return t


def tokenizer_plain(lines):
    """NFKD, StripAccents, Lowercase; Whitespace, contiguous punctuation, Split by a string; a suffix and its decoder."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"),
                                               pre_tokenizers.Split("th", "merged_with_next", False),
                                               pre_tokenizers.Split("o", "merged_with_previous", False)])
    vocab, merges = train_affixed(words_of(t, lines), ["<unk>"], 150, suffix="</w>")
    t.model = models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix="</w>")
    t.add_special_tokens(["<unk>"])
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    return t


def tokenizer_words(lines):
    """NFD; WhitespaceSplit, Digits together; BPE with a prefix inside words, no decoder at all."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFD()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(False)])
    vocab, merges = train_affixed(words_of(t, lines), ["[UNK]"], 150, prefix="##")
    t.model = models.BPE(vocab, merges, unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=True)
    t.add_special_tokens(["[UNK]"])
    return t


MADE = {
    "sentencepiece": tokenizer_sentencepiece,
    "metaspace": tokenizer_metaspace,
    "llama3": tokenizer_llama3,
    "o200k": tokenizer_o200k,
    "roberta": tokenizer_roberta,
    "bert-cased": tokenizer_bert_cased,
    "plain": tokenizer_plain,
    "words": tokenizer_words,
}
DEMO = {
    "tiny-llama-stories": "models/tiny-llama-stories/tokenizer.json",
    "tiny-bert-embed": "models/tiny-bert-embed/tokenizer.json",
}


def vectors_of(tokenizer, path, lines, chosen):
    result = {"tokenizer": path, "lines": chosen, "ids": [], "plain": [], "decoded": [], "skipped": []}
    for index in range(len(lines)) if chosen is None else chosen:
        text = text_of(lines[index])
        ids = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        front = next((n for n in range(len(ids) - len(plain) + 1) if ids[n:n + len(plain)] == plain), None)
        decoded = tokenizer.decode(plain, skip_special_tokens=False)
        skipped = tokenizer.decode(ids, skip_special_tokens=True)
        result["ids"].append(ids)
        result["plain"].append(plain if front is None else [front, len(ids) - len(plain) - front])
        result["decoded"].append(None if decoded == text else decoded)
        result["skipped"].append(None if skipped == decoded else skipped)
    return result


def pairs_of(tokenizer, path, lines, name, count=60):
    rng = random.Random("pairs of " + name)
    result = {"tokenizer": path, "pairs": []}
    for i in range(count):
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        special, longest = i % 4 != 3, 0 if i % 3 == 0 else rng.randrange(5, 60)
        tokenizer.no_truncation()
        if longest:
            tokenizer.enable_truncation(longest, strategy="longest_first")
        made = tokenizer.encode(text_of(lines[a]), text_of(lines[b]), add_special_tokens=special)
        result["pairs"].append([a, b, longest, int(special), made.ids, made.type_ids])
    tokenizer.no_truncation()
    return result


def dump(value, path):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000, help="how many lines in all")
    parser.add_argument("--each", type=int, default=400, help="lines for each of the tokenizers made here")
    parser.add_argument("--data", default="tests/data", help="the folder of test data")
    options = parser.parse_args()
    folder = os.path.join(options.data, "tokenizer")
    os.makedirs(folder, exist_ok=True)

    lines = make_lines(options.lines)
    stored = []
    for line in lines:
        try:
            stored.append(line.decode())
        except UnicodeDecodeError:
            stored.append({"hex": line.hex()})
    dump(stored, os.path.join(folder, "lines.json"))
    for name, make in MADE.items():
        path = os.path.join(folder, name + ".tokenizer.json")
        make(lines).save(path, pretty=False)
    pairs = []
    for name, path in {**DEMO, **{n: f"tokenizer/{n}.tokenizer.json" for n in MADE}}.items():
        tokenizer = Tokenizer.from_file(os.path.join(options.data, path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        chosen = None if name in DEMO else sorted(random.Random(name).sample(range(len(lines)), options.each))
        dump(vectors_of(tokenizer, path, lines, chosen), os.path.join(folder, name + ".vectors.json"))
        pairs.append(pairs_of(tokenizer, path, lines, name))
    dump(pairs, os.path.join(folder, "pairs.json"))


if __name__ == "__main__":
    main()
