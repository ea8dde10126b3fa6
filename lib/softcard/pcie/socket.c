/* SPDX-License-Identifier: MIT */
/* Framing. A message's descriptors come with its first byte, so the header is read by itself. */
#include "softcard/pcie/socket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static_assert(sizeof(struct qeff_vfio_header) == 16, "vfio-user layout");

static int bind_and_listen(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, path);
	unlink(path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		return -errno;
	return 0;
}

/* What is not a socket is not replaced. */
static int give_name(const char *from, const char *to)
{
	struct stat st;

	if (!lstat(to, &st) && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	return rename(from, to) < 0 ? -errno : 0;
}

/* The name appears when the socket listens already: who sees it can connect. */
int qeff_socket_listen(struct qeff_socket *s, const char *path, struct qeff_error *err)
{
	char text[128], fresh[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int ret, n = snprintf(fresh, sizeof(fresh), "%s.new", path);

	if (n < 0 || (size_t)n >= sizeof(fresh))
		return qeff_error_set(err, -ENAMETOOLONG,
				      "%s: the path of a socket has at most %zu bytes here", path,
				      sizeof(fresh) - sizeof(".new"));
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = s->listen_fd < 0 ? -errno : bind_and_listen(s->listen_fd, fresh);
	if (!ret)
		ret = give_name(fresh, path);
	if (ret) {
		unlink(fresh);
		return qeff_error_set(err, ret, "%s: %s", path,
				      qeff_strerror(-ret, text, sizeof(text)));
	}
	s->path = strdup(path);
	return s->path ? 0 : qeff_error_set(err, -ENOMEM, "%s: no memory", path);
}

void qeff_socket_close(struct qeff_socket *s)
{
	qeff_socket_drop_client(s);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->listen_fd = -1;
	if (s->path)
		unlink(s->path);
	free(s->path);
	s->path = NULL;
}

bool qeff_socket_accept(struct qeff_socket *s)
{
	s->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return s->fd >= 0;
}

void qeff_socket_drop_client(struct qeff_socket *s)
{
	qeff_socket_next(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->out_bytes = s->out_done = 0;
}

void qeff_socket_next(struct qeff_socket *s)
{
	for (unsigned int i = 0; i < s->num_fds; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	s->num_fds = 0;
	s->in_bytes = 0;
}

static bool take_fds(struct qeff_socket *s, struct msghdr *m)
{
	bool fits = !(m->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (s->num_fds < QEFF_SOCKET_MAX_FDS) {
				s->fds[s->num_fds++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* Reads on until @until bytes are there: 1 if so. */
static int fill(struct qeff_socket *s, size_t until)
{
	union {
		char bytes[CMSG_SPACE(QEFF_SOCKET_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v;
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n;

	while (s->in_bytes < until) {
		v.iov_base = s->in + s->in_bytes;
		v.iov_len = until - s->in_bytes;
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		m.msg_flags = 0;
		n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (!take_fds(s, &m))
			return -EPROTO;
		if (!n)
			return -ECONNRESET;
		s->in_bytes += (size_t)n;
	}
	return 1;
}

int qeff_socket_receive(struct qeff_socket *s)
{
	struct qeff_vfio_header h;
	int ret = fill(s, sizeof(h));

	if (ret <= 0)
		return ret;
	memcpy(&h, s->in, sizeof(h));
	if (h.size_bytes < sizeof(h) || h.size_bytes > sizeof(s->in))
		return -EPROTO;
	return fill(s, h.size_bytes);
}

void qeff_socket_reply(struct qeff_socket *s, int error, const void *data, size_t size_bytes)
{
	struct qeff_vfio_header h;

	memcpy(&h, s->in, sizeof(h));
	if (h.flags & QEFF_VFIO_NO_REPLY)
		return;
	if (error)
		size_bytes = 0;
	h.flags = QEFF_VFIO_REPLY | (error ? QEFF_VFIO_ERROR : 0);
	h.error = (uint32_t)error;
	h.size_bytes = (uint32_t)(sizeof(h) + size_bytes);
	memcpy(s->out, &h, sizeof(h));
	if (size_bytes)
		memcpy(s->out + sizeof(h), data, size_bytes);
	s->out_done = 0;
	s->out_bytes = h.size_bytes;
}

int qeff_socket_flush(struct qeff_socket *s)
{
	ssize_t n;

	while (s->out_done < s->out_bytes) {
		n = send(s->fd, s->out + s->out_done, s->out_bytes - s->out_done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->out_done += (size_t)n;
	}
	return 0;
}
