/*
 * The lattice: fail > broken > inconclusive > vacuous > pass, and whether that is what was
 * expected. A pure function of what judge.c collected.
 */
#ifndef ASSAY_REPORT_VERDICT_H
#define ASSAY_REPORT_VERDICT_H

#include "report/report.h"

/* Fills verdict, reason, as_expected, status, required, exercised, expected from the rest. */
void verdict_decide(struct judgement *j);
/* 2 when a server refused the team's config, else 3. */
int broken_status(const struct judgement *j);
/* Fills lives from the history on disk. */
int lives_collect(struct judgement *j, struct err *err);
const struct finding *judgement_finding(const struct judgement *j, const char *kind);
/* The case expects that kind (expect: fail:) or says that it may come beside (may:). */
bool judgement_allows(const struct judgement *j, const char *kind);

#endif
