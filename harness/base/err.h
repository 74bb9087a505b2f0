/*
 * Errors of the second kind: the world refused. The innermost function writes the sentence, every
 * caller prefixes where it happened, the verb prints it once.
 *
 *     if (open_log(path, err) < 0)
 *         return err_prefix(err, "case %s", name);      // "case K02: open log x: No space left"
 *
 * Bugs of ours are asserts; misbehaviour of the system under test is an event or a finding, never
 * an error.
 */
#ifndef ASSAY_BASE_ERR_H
#define ASSAY_BASE_ERR_H

/* What the process should say with its exit status when this error ends it (JUDGING: exit status). */
enum err_status {
    ERR_BROKEN = 0, /* 3: the harness could not do its work */
    ERR_INPUT,      /* 2: suite, config or command line is wrong */
    ERR_CANCELLED,  /* 129, 130 or 143: somebody asked us to stop */
};

struct err {
    enum err_status status;
    char text[2000];
};

/* Writes the sentence; returns -1, so that `return err_set(err, …)` ends a function. err may be NULL. */
int err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As err_set, with ": strerror(errno)" behind it. */
int err_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As err_set, and marks the error as one of the user's input (exit status 2). */
int err_input(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "prefix: " before the sentence that is already there; returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
