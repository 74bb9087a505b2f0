/* What `assay help VERB` and `assay VERB --help` say. */
#ifndef ASSAY_VERBS_USAGE_H
#define ASSAY_VERBS_USAGE_H

/* NULL: there is no such verb. */
const char *usage_of(const char *verb);

#endif
