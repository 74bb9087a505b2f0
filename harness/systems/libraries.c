/* See libraries.h. Loaders lie where Debian has them: in the folder of the libraries. */
#include "systems/libraries.h"

#include "base/file.h"
#include "systems/server.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct library_package library_packages[] = {
    {"debian-13", "librdkafka1", "librdkafka"},
    {"debian-13", "librabbitmq4", "librabbitmq"},
    {0},
};

/* The program's own is the first object. */
static int take_interpreter(struct dl_phdr_info *object, size_t size, void *interpreter)
{
    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_INTERP)
            *(const char **)interpreter =
                (const char *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    return 1;
}

/* "ld-linux-x86-64.so.2"; NULL: linked without shared libraries. */
static const char *loader_name(void)
{
    const char *interpreter = NULL, *slash;

    dl_iterate_phdr(take_interpreter, &interpreter);
    slash = interpreter ? strrchr(interpreter, '/') : NULL;
    return slash ? slash + 1 : interpreter;
}

static int has_packages(const char *root, struct err *err)
{
    char version[64];

    for (const struct library_package *p = library_packages; p->root; p++)
        if (strcmp(p->root, root) == 0 &&
            root_package_version(root, p->package, version, sizeof(version), err) < 0)
            return -1;
    return 0;
}

int libraries_find(const char *root, const char *user, struct libraries *out, struct err *err)
{
    const char *loader = loader_name();
    struct libraries found;
    char folder[600];

    if (!loader)
        return err_set(err, "%s %s, but this binary has no shared libraries", user, root);
    if (root_folder(root, user, folder, sizeof(folder), err) < 0)
        return -1;
    if (has_packages(root, err) < 0)
        return err_prefix(err, "%s the root folder %s", user, root);
    snprintf(found.folder, sizeof(found.folder), "%s/usr/lib/" ASSAY_TRIPLET, folder);
    snprintf(found.loader, sizeof(found.loader), "%s/usr/lib/" ASSAY_TRIPLET "/%.200s", folder,
             loader);
    if (access(found.loader, X_OK) < 0)
        return err_errno(err, "%s the root folder %s: %s", user, root, found.loader);
    if (file_self(found.self, sizeof(found.self)) < 0)
        return err_errno(err, "our own binary");
    *out = found;
    return 0;
}
