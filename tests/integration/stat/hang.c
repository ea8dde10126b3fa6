/* SPDX-License-Identifier: MIT */
/* Preloaded in front of libc: a driver that never comes back from an ioctl. */
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	for (;;)
		pause();
}
