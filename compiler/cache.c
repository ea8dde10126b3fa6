/* SPDX-License-Identifier: MIT */
/*
 * The compile cache: a folder for each package, named after the model and the digest of its key.
 *
 *   packages/MODEL-0123456789abcdef/key	the key's text
 *   packages/MODEL-0123456789abcdef/programqpc.bin
 *   packages/MODEL-0123456789abcdef.lock	held while it is made or removed
 *
 * The package is written last, and appears whole or not at all, so what is there is good whatever
 * ended its compiler; the kernel releases the lock of one that died.
 */
#include "cache.h"

#include "util/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKAGE "programqpc.bin"
#define KEY	"key"

static int no_memory(struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "out of memory for the compile cache");
}

static int failed(const char *what, const char *path, struct qeff_error *err)
{
	int code = -errno;

	return qeff_error_set(err, code, "%s: cannot %s: %s", path, what, strerror(-code));
}

/* The folder of packages. */
static char *cache_folder(void)
{
	const char *home = getenv("QEFF_HOME"), *xdg = getenv("XDG_CACHE_HOME");
	const char *user = getenv("HOME");
	char *path = NULL;
	int length;

	if (home && *home)
		length = asprintf(&path, "%s/packages", home);
	else if (xdg && *xdg == '/')
		length = asprintf(&path, "%s/qeff/packages", xdg);
	else
		length = asprintf(&path, "%s/.cache/qeff/packages", user ? user : "");
	return length < 0 ? NULL : path;
}

static int make_folders(char *path, struct qeff_error *err)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		if (mkdir(path, 0777) && errno != EEXIST) {
			int rc = failed("make the folder", path, err);

			*at = '/';
			return rc;
		}
		*at = '/';
	}
	return mkdir(path, 0777) && errno != EEXIST ? failed("make the folder", path, err) : 0;
}

/* An entry: its paths, and its lock while it is held. */
struct entry {
	char *folder, *package, *key, *lock_path;
	int lock;
};

static void entry_close(struct entry *e)
{
	if (e->lock >= 0)
		close(e->lock);
	free(e->folder);
	free(e->package);
	free(e->key);
	free(e->lock_path);
	e->lock = -1;
}

static int entry_open(struct entry *e, const char *packages, const char *name,
		      struct qeff_error *err)
{
	*e = (struct entry){ .lock = -1 };
	if (asprintf(&e->folder, "%s/%s", packages, name) < 0)
		e->folder = NULL;
	if (!e->folder || asprintf(&e->package, "%s/" PACKAGE, e->folder) < 0)
		e->package = NULL;
	if (!e->package || asprintf(&e->key, "%s/" KEY, e->folder) < 0)
		e->key = NULL;
	if (!e->key || asprintf(&e->lock_path, "%s.lock", e->folder) < 0)
		e->lock_path = NULL;
	if (e->lock_path)
		return 0;
	entry_close(e);
	return no_memory(err);
}

/* Takes the lock; who waited for one that was removed meanwhile takes the new one. @flags: LOCK_NB
 * or 0; then 1 means that another holds it. */
static int entry_lock(struct entry *e, int flags, struct qeff_error *err)
{
	for (;;) {
		struct stat held, there;

		e->lock = open(e->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (e->lock < 0)
			return failed("open", e->lock_path, err);
		while (flock(e->lock, LOCK_EX | flags)) {
			if (errno == EINTR)
				continue;
			if (errno == EWOULDBLOCK) {
				close(e->lock);
				e->lock = -1;
				return 1;
			}
			return failed("lock", e->lock_path, err);
		}
		if (!fstat(e->lock, &held) && !stat(e->lock_path, &there) &&
		    held.st_ino == there.st_ino && held.st_dev == there.st_dev)
			return 0;
		close(e->lock);
	}
}

/* Whether the entry is whole and of this very key. */
static bool entry_is(const struct entry *e, const struct qeff_bytes *key)
{
	struct qeff_map map;
	bool same;

	if (access(e->package, R_OK) || qeff_map_open(&map, e->key, NULL))
		return false;
	same = map.size_bytes == key->size_bytes && !memcmp(map.data, key->data, map.size_bytes);
	qeff_map_close(&map);
	return same;
}

/* Removes what is in the entry's folder, and the folder: also what one that died left there. */
static void entry_clear(const struct entry *e)
{
	DIR *dir = opendir(e->folder);
	struct dirent *file;

	while (dir && (file = readdir(dir)))
		if (strcmp(file->d_name, ".") && strcmp(file->d_name, ".."))
			unlinkat(dirfd(dir), file->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(e->folder);
}

/* The entry's name: the last part of the model's path, and sixteen digits. */
static char *entry_name(const char *model_dir, const struct qeff_bytes *key)
{
	char digest[SHA256_DIGEST_STRING_LENGTH], *path = realpath(model_dir, NULL), *name = NULL;
	const char *last = path ? strrchr(path, '/') : NULL;

	SHA256Data(key->data, key->size_bytes, digest);
	if (asprintf(&name, "%.100s-%.16s", last && last[1] ? last + 1 : "model", digest) < 0)
		name = NULL;
	free(path);
	return name;
}

/* Makes the package of a locked entry. */
static int entry_make(struct entry *e, const struct qeff_compile_options *options,
		      const struct qeff_bytes *key, struct qeff_compile_summary *summary,
		      struct qeff_error *err)
{
	struct qeff_compile_options own = *options;
	int rc;

	entry_clear(e);
	if (mkdir(e->folder, 0777))
		return failed("make the folder", e->folder, err);
	own.output = e->package;
	rc = qeff_write_file(e->key, key->data, key->size_bytes, err);
	if (!rc)
		rc = qeff_compile(&own, summary, err);
	if (rc)
		entry_clear(e);
	return rc;
}

static int compile_entry(const char *packages, const struct qeff_compile_options *options,
			 const struct qeff_bytes *key, bool anew, char **package, bool *hit,
			 struct qeff_compile_summary *summary, struct qeff_error *err)
{
	char *name = entry_name(options->model_dir, key);
	struct entry e;
	int rc = name ? entry_open(&e, packages, name, err) : no_memory(err);

	free(name);
	if (rc)
		return rc;
	/* A whole entry needs no lock: it is never changed, only removed. */
	*hit = !anew && entry_is(&e, key);
	if (!*hit) {
		rc = entry_lock(&e, 0, err);
		*hit = !rc && !anew && entry_is(&e, key);
		if (!rc && !*hit)
			rc = entry_make(&e, options, key, summary, err);
	}
	if (!rc) {
		*package = e.package;
		e.package = NULL;
	}
	entry_close(&e);
	return rc;
}

int qeff_compile_cached(const struct qeff_compile_options *options, bool anew, char **package,
			bool *hit, struct qeff_compile_summary *summary, struct qeff_error *err)
{
	struct qeff_bytes key = { 0 };
	char *packages;
	int rc;

	*package = NULL;
	*hit = false;
	if (summary)
		*summary = (struct qeff_compile_summary){ 0 };
	if (!options->model_dir || !*options->model_dir)
		return qeff_error_set(err, -EINVAL, "no model folder was given");
	if (options->onnx_dir)
		return qeff_error_set(err, -EINVAL,
				      "an ONNX export does not go with the cache: name a package "
				      "to write");
	packages = cache_folder();
	rc = packages ? make_folders(packages, err) : no_memory(err);
	if (!rc)
		rc = qeff_cache_sources(options->model_dir, &key, err);
	if (!rc)
		rc = qeff_cache_options(options, &key, err);
	if (!rc)
		rc = compile_entry(packages, options, &key, anew, package, hit, summary, err);
	qeff_bytes_free(&key);
	free(packages);
	return rc;
}

/* ---- list and prune ---- */

/* Whether the model's files and the compiler are what they were; @model receives the model's path.
 */
static bool is_current(const struct entry *e, char **model)
{
	struct qeff_bytes now = { 0 };
	struct qeff_map map;
	bool current = false;
	const char *end;

	*model = NULL;
	if (qeff_map_open(&map, e->key, NULL))
		return false;
	end = map.size_bytes > 6 ? memchr(map.data, '\n', map.size_bytes) : NULL;
	if (end && !memcmp(map.data, "model=", 6))
		*model = strndup((const char *)map.data + 6,
				 (size_t)(end - (const char *)map.data) - 6);
	if (*model && !qeff_cache_sources(*model, &now, NULL))
		current = now.size_bytes <= map.size_bytes &&
			  !memcmp(map.data, now.data, now.size_bytes);
	qeff_bytes_free(&now);
	qeff_map_close(&map);
	return current;
}

static int is_entry(const struct dirent *file)
{
	size_t length = strlen(file->d_name);

	return file->d_name[0] != '.' && (length < 5 || strcmp(file->d_name + length - 5, ".lock"));
}

/* Calls @visit for each entry. */
static int walk(int (*visit)(void *user, struct entry *e, struct qeff_compile_cache_entry *facts,
			     struct qeff_error *err),
		void *user, struct qeff_error *err)
{
	char *packages = cache_folder();
	struct dirent **files;
	int count, rc = 0;

	if (!packages)
		return no_memory(err);
	count = scandir(packages, &files, is_entry, alphasort);
	for (int i = 0; i < count; i++) {
		struct qeff_compile_cache_entry facts = { .name = files[i]->d_name };
		struct entry e = { .lock = -1 };
		char *model = NULL;
		struct stat s;

		if (!rc)
			rc = entry_open(&e, packages, files[i]->d_name, err);
		if (!rc) {
			facts.package = e.package;
			facts.current = is_current(&e, &model);
			facts.model = model ? model : "";
			if (!stat(e.package, &s)) {
				facts.bytes = (uint64_t)s.st_size;
				facts.made = s.st_mtime;
			}
			facts.current = facts.current && facts.made;
			rc = visit(user, &e, &facts, err);
			entry_close(&e);
		}
		free(model);
		free(files[i]);
	}
	if (count >= 0)
		free(files);
	free(packages);
	return rc;
}

struct lister {
	void (*visit)(void *user, const struct qeff_compile_cache_entry *entry);
	void *user;
};

static int list_one(void *user, struct entry *e, struct qeff_compile_cache_entry *facts,
		    struct qeff_error *err)
{
	struct lister *lister = user;

	lister->visit(lister->user, facts);
	return 0;
}

int qeff_compile_cache_list(void (*visit)(void *user, const struct qeff_compile_cache_entry *entry),
			    void *user, struct qeff_error *err)
{
	struct lister lister = { visit, user };

	return walk(list_one, &lister, err);
}

struct pruner {
	bool all;
	uint32_t entries;
	uint64_t bytes;
};

static int prune_one(void *user, struct entry *e, struct qeff_compile_cache_entry *facts,
		     struct qeff_error *err)
{
	struct pruner *pruner = user;
	int rc;

	if (facts->current && !pruner->all)
		return 0;
	rc = entry_lock(e, LOCK_NB, err);
	if (rc)
		return rc < 0 ? rc : 0; /* it is being made */
	entry_clear(e);
	unlink(e->lock_path);
	pruner->entries++;
	pruner->bytes += facts->bytes;
	return 0;
}

int qeff_compile_cache_prune(bool all, uint32_t *entries, uint64_t *bytes, struct qeff_error *err)
{
	struct pruner pruner = { .all = all };
	int rc = walk(prune_one, &pruner, err);

	*entries = pruner.entries;
	*bytes = pruner.bytes;
	return rc;
}
