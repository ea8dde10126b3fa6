/* SPDX-License-Identifier: MIT */
/* From device addresses to memory, within the windows of one virtual channel. */
#include "softcard/window.h"

#include "util/checked.h"

static uint64_t base_in_nsp(const struct qeff_metadata *md, uint32_t nsp, uint32_t mcid)
{
	if (nsp >= md->num_nsp_multicast || mcid >= md->nsp_multicast[nsp].num_entries)
		return 0;
	return md->nsp_multicast[nsp].entries[mcid].base_offset;
}

static bool find_multicast(const struct qeff_windows *w, uint64_t offset, uint64_t size_bytes,
			   struct qeff_target *target)
{
	const struct qeff_metadata *md = w->metadata;
	uint64_t mcid = offset / QEFF_MD_MULTICAST_STRIDE, in_nsp;
	const struct qeff_md_host_multicast *window;

	offset %= QEFF_MD_MULTICAST_STRIDE;
	if (mcid >= md->num_host_multicast)
		return false;
	window = &md->host_multicast[mcid];
	if (!qeff_range_valid(offset, size_bytes, window->size_bytes))
		return false;
	target->in_ddr = false;
	target->count = 0;
	for (uint32_t nsp = 0; nsp < md->num_nsps; nsp++) {
		if (!(window->nsp_mask >> nsp & 1))
			continue;
		if (!qeff_add_u64(base_in_nsp(md, nsp, (uint32_t)mcid), offset, &in_nsp) ||
		    !qeff_range_valid(in_nsp, size_bytes, QEFF_MD_L2TCM_BYTES))
			return false;
		target->at[target->count++] =
			w->l2tcm + (uint64_t)nsp * QEFF_MD_L2TCM_BYTES + in_nsp;
	}
	return target->count > 0;
}

bool qeff_windows_find(const struct qeff_windows *w, uint64_t address, uint64_t size_bytes,
		       struct qeff_target *target)
{
	for (unsigned int i = 0; i < 2; i++) {
		const struct qeff_ddr_window *ddr = &w->ddr[i];

		if (ddr->data && address >= ddr->address &&
		    qeff_range_valid(address - ddr->address, size_bytes, ddr->size_bytes)) {
			target->in_ddr = true;
			target->count = 1;
			target->at[0] = ddr->data + (address - ddr->address);
			return true;
		}
	}
	if (address < w->mcid_base || address - w->mcid_base >= QEFF_WINDOW_VC_STRIDE)
		return false;
	return find_multicast(w, address - w->mcid_base, size_bytes, target);
}
