/* SPDX-License-Identifier: MIT */
/* QEFF_SOFTCARDS: "key=value,key=value;key=value". */
#include "device/soft_config.h"

#include "util/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_NSPS	  16u
#define DEFAULT_DDR_BYTES (UINT64_C(32) << 30)
#define MIN_DDR_BYTES	  (UINT64_C(1) << 20)
#define MAX_DDR_BYTES	  (UINT64_C(1) << 40)
#define SKU_PCIE	  2u

static const char *const sku_names[] = {
	"invalid", "M.2",  "PCIe",	 "Pro",	     "Lite",
	"Ultra",   "Auto", "Ultra Plus", "PCIe 080", "Ultra 080",
};

#define NUM_SKUS (sizeof(sku_names) / sizeof(sku_names[0]))

const char *qeff_sku_name(uint32_t sku)
{
	return sku_names[sku < NUM_SKUS ? sku : 0];
}

static int set_nsps(struct qeff_card_config *card, const char *value, struct qeff_error *err)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end || n < 1 || n > QEFF_CARD_MAX_NSPS)
		return qeff_error_set(err, -EINVAL,
				      "QEFF_SOFTCARDS: nsps=%s, expected a number from 1 to %u",
				      value, QEFF_CARD_MAX_NSPS);
	card->nsps = (uint32_t)n;
	return 0;
}

static int set_ddr(struct qeff_card_config *card, const char *value, struct qeff_error *err)
{
	static const char units[] = "KMGT";
	unsigned long long n;
	const char *unit;
	uint64_t bytes;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 10);
	bytes = n;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		end++;
		if (!qeff_mul_u64(n, UINT64_C(1) << (10 * (unit - units + 1)), &bytes))
			errno = ERANGE;
	}
	if (value[0] < '0' || value[0] > '9' || *end || errno || bytes < MIN_DDR_BYTES ||
	    bytes > MAX_DDR_BYTES)
		return qeff_error_set(
			err, -EINVAL,
			"QEFF_SOFTCARDS: ddr=%s, expected bytes from 1M to 1T such as 8G", value);
	card->ddr_bytes = bytes;
	return 0;
}

static int set_sku(struct qeff_card_config *card, const char *value, struct qeff_error *err)
{
	for (size_t i = 1; i < NUM_SKUS; i++) {
		if (strcasecmp(value, sku_names[i]) == 0) {
			card->sku = (uint8_t)i;
			return 0;
		}
	}
	return qeff_error_set(err, -EINVAL,
			      "QEFF_SOFTCARDS: sku=%s, expected M.2, PCIe, Pro, Lite, Ultra, Auto, "
			      "Ultra Plus, PCIe 080 or Ultra 080",
			      value);
}

static int set_serial(struct qeff_card_config *card, const char *value, struct qeff_error *err)
{
	if (!*value || strlen(value) >= sizeof(card->serial))
		return qeff_error_set(err, -EINVAL,
				      "QEFF_SOFTCARDS: serial=%s, expected 1 to %zu characters",
				      value, sizeof(card->serial) - 1);
	strcpy(card->serial, value);
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct qeff_card_config *card, const char *value, struct qeff_error *err);
} keys[] = {
	{ "nsps", set_nsps },
	{ "ddr", set_ddr },
	{ "sku", set_sku },
	{ "serial", set_serial },
};

static int parse_card(char *text, struct qeff_card_config *card, struct qeff_error *err)
{
	char *pair, *rest = text;

	while ((pair = strsep(&rest, ","))) {
		char *value = strchr(pair, '=');
		size_t i;

		if (!*pair)
			continue;
		if (!value)
			return qeff_error_set(err, -EINVAL,
					      "QEFF_SOFTCARDS: \"%s\", expected key=value", pair);
		*value++ = '\0';
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strcmp(pair, keys[i].name) == 0)
				break;
		if (i == sizeof(keys) / sizeof(keys[0]))
			return qeff_error_set(
				err, -EINVAL,
				"QEFF_SOFTCARDS: key \"%s\", expected nsps, ddr, sku or serial",
				pair);
		if (keys[i].set(card, value, err))
			return -EINVAL;
	}
	return 0;
}

int qeff_soft_config_parse(const char *text, struct qeff_soft_config *config,
			   struct qeff_error *err)
{
	char *copy = strdup(text ? text : ""), *rest = copy, *one;
	int ret = 0;

	*config = (struct qeff_soft_config){ 0 };
	if (!copy)
		return qeff_error_set(err, -ENOMEM, "QEFF_SOFTCARDS: out of memory");
	while (!ret && (one = strsep(&rest, ";"))) {
		struct qeff_card_config *card = &config->cards[config->count];

		if (!*one && config->count > 0)
			continue; /* a semicolon at the end */
		if (config->count == QEFF_SOFTCARDS_MAX) {
			ret = qeff_error_set(err, -EINVAL, "QEFF_SOFTCARDS: more than %d cards",
					     QEFF_SOFTCARDS_MAX);
			break;
		}
		card->nsps = DEFAULT_NSPS;
		card->ddr_bytes = DEFAULT_DDR_BYTES;
		card->sku = SKU_PCIE;
		snprintf(card->serial, sizeof(card->serial), "SOFT%04u", config->count);
		ret = parse_card(one, card, err);
		config->count++;
	}
	free(copy);
	return ret;
}

int qeff_soft_config_read(struct qeff_soft_config *config, struct qeff_error *err)
{
	const char *poison = getenv("QEFF_POISON");
	int ret = qeff_soft_config_parse(getenv("QEFF_SOFTCARDS"), config, err);

	for (uint32_t i = 0; !ret && i < config->count; i++)
		config->cards[i].poison = poison && strcmp(poison, "1") == 0;
	return ret;
}
