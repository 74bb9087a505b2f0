/* Reads CASE_FOLDER/plan.yaml (file.h). */
#include "client/file.h"

#include "suite/tree.h"

struct plan_case *client_plan_read(const char *case_folder, struct arena *arena, struct err *err)
{
    struct plan_case *plan;
    char path[1024];
    char *text;
    size_t n;

    snprintf(path, sizeof(path), "%s/plan.yaml", case_folder);
    text = file_text(path, &n, arena, err);
    plan = text ? plan_case_read(text, n, arena, err) : NULL;
    if (text && !plan)
        err_prefix(err, "%s", path);
    return plan;
}
