/*
 * Everything a suite is refused for, with its exact sentence (SUITES: Rules). Each row is a case
 * with one mistake in it, put into an otherwise good suite.
 */
#include "plan/plan.h"
#include "plan/testing/mock_plugins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Lines 1–6 of every suite; the case's own keys begin on line 7. */
#define HEAD                                                                                       \
    "assay: 1\n"                                                                                   \
    "clusters:\n"                                                                                  \
    "  log3: {mock_log: {brokers: 3}, topics: {orders: {partitions: 2}}}\n"                        \
    "  other: {mock_log: {brokers: 1}, topics: {orders: {}}}\n"                                    \
    "cases:\n"                                                                                     \
    "  C:\n"
#define CLUSTERS "    clusters: {bus: log3}\n"
#define WORKLOAD "    workload: {mock_load: {}}\n"
#define CLIENTS                                                                                    \
    "    clients: {app: {produce: orders}, work: {consume: {topic: orders, group: g}}}\n"
#define PROMISE "    promise: {loss: 0}\n"
#define BEFORE HEAD CLUSTERS WORKLOAD CLIENTS PROMISE /* ends with line 10 */
#define SCRIPT(steps) BEFORE "    script:\n" steps    /* steps begin on line 12 */
#define GOOD "    script: [{send: {from: app, count: 1, name: a}}]\n"
#define TWINS "    twins: {good: {expect: pass}}\n"

struct refusal {
    const char *what, *suite, *sentence;
};

static const struct refusal refusals[] = {
    /* ---- keys */
    {"a client with a version", SCRIPT("      - start: {target: app, version: \"4.0\"}\n"),
     "suite x:12:16: start: client app has no version"},
    {"nodes that keep their version", SCRIPT("      - start: {target: b1, version: \"4.0\"}\n"),
     "suite x:12:16: start: no system of this case has nodes that change their version"},
    {"unknown key", SCRIPT("      - send: {form: app, count: 1}\n"),
     "suite x:12:16: unknown key \"form\" (did you mean \"from\"?)"},
    {"unknown key of a client",
     HEAD CLUSTERS WORKLOAD PROMISE GOOD
     "    clients:\n      app: {produce: orders, librrary: {}}\n",
     "suite x:12:30: unknown key \"librrary\" (did you mean \"library\"?)"},
    {"libraries of a root folder that has none for clients",
     HEAD CLUSTERS WORKLOAD PROMISE GOOD
     "    clients:\n      app: {produce: orders, libraries: debian-12}\n",
     "suite x:12:41: libraries: \"debian-12\" is none of installed, debian-13 (did you mean "
     "\"debian-13\"?)"},
    {"unknown verb of a client",
     HEAD CLUSTERS WORKLOAD PROMISE GOOD "    clients:\n      app: {prodcue: orders}\n",
     "suite x:12:13: unknown key \"prodcue\" of client \"app\" (did you mean \"produce\"?); what "
     "it may "
     "do here: produce, consume"},
    {"unknown key of a case", BEFORE GOOD "    requires: []\n",
     "suite x:12:5: unknown key \"requires\" of a case (did you mean \"require\"?)"},
    {"unknown key of a cluster's table",
     "assay: 1\ncases:\n  C:\n    clusters: {bus: {mock_log: {broker: 3}}}\n" WORKLOAD CLIENTS
         PROMISE GOOD,
     "suite x:4:33: unknown key \"broker\" (did you mean \"brokers\"?)"},
    {"duplicate key", SCRIPT("      - send: {from: app, count: 1, from: app}\n"),
     "suite x:12:37: duplicate key \"from\" (first on line 12)"},
    {"unknown key of a suite", "assay: 1\nclutsers: {}\ncases: {}\n",
     "suite x:2:1: unknown key \"clutsers\" of a suite (did you mean \"clusters\"?)"},
    {"two cases of one name", BEFORE GOOD "  C: {}\n",
     "suite x:12:3: duplicate key \"C\" (first on line 6)"},
    {"alias", HEAD CLUSTERS "    final: *c\n",
     "suite x:8:12: aliases (*name) are not taken: write the value where it is meant"},
    {"alias in a list", SCRIPT("      - *step\n"),
     "suite x:12:9: aliases (*name) are not taken: write the value where it is meant"},
    {"alias as a key", HEAD "    *c : {}\n",
     "suite x:7:5: aliases (*name) are not taken: write the value where it is meant"},
    {"anchor of a map", HEAD "    clusters: &c {bus: log3}\n    final: *c\n",
     "suite x:7:15: anchors (&name) are not taken"},
    {"anchor of a list", BEFORE "    script: &s []\n",
     "suite x:11:13: anchors (&name) are not taken"},
    {"anchor of a word", HEAD "    clusters: {bus: &b log3}\n",
     "suite x:7:21: anchors (&name) are not taken"},
    {"merge key", HEAD "    clusters: {<<: {bus: log3}}\n",
     "suite x:7:16: merge keys (<<) are not taken: twins say `with:`"},
    {"tag", HEAD "    clusters: !!map {bus: log3}\n", "suite x:7:15: tags (!name) are not taken"},
    {"tag of a list", BEFORE "    script: !!seq []\n", "suite x:11:13: tags (!name) are not taken"},
    {"tag of a word", HEAD "    clusters: {bus: !!str log3}\n",
     "suite x:7:21: tags (!name) are not taken"},
    {"second document", BEFORE GOOD "---\nassay: 1\n",
     "suite x:12:1: a second document: one suite is one document"},
    {"missing key", SCRIPT("      - send: {count: 1}\n"),
     "suite x:12:15: \"from\" is missing (client that sends)"},
    /* ---- units */
    {"unitless time", SCRIPT("      - wait: {until: 1 == 1, within: 30}\n"),
     "suite x:12:39: within: 30 has no unit: write 30ms, 30s, 30m …"},
    {"unitless size",
     HEAD CLUSTERS "    workload: {mock_load: {payload: 200}}\n" CLIENTS PROMISE GOOD,
     "suite x:8:37: payload: 200 has no unit: write 200B, 200KiB, 200MiB …"},
    {"unitless rate", SCRIPT("      - background: {from: app, until: script_end, rate: 5}\n"),
     "suite x:12:58: rate: 5 has no unit: write 5/s, 5k/s …"},
    {"not a number", SCRIPT("      - send: {from: app, count: many}\n"),
     "suite x:12:34: count: \"many\" is not a whole number such as 500 or 10k"},
    {"out of range",
     HEAD CLUSTERS "    workload: {mock_load: {payload: 20B}}\n" CLIENTS PROMISE GOOD,
     "suite x:8:37: payload: 20B is outside 56B … 1048576B"},
    {"none of the words",
     HEAD CLUSTERS WORKLOAD CLIENTS "    promise: {order: {by: partitoin}}\n" GOOD,
     "suite x:10:27: by: \"partitoin\" is none of partition, key (did you mean \"partition\"?)"},
    {"a bare value that is none: told of the key it stands behind",
     HEAD CLUSTERS WORKLOAD CLIENTS "    promise: {loss: many}\n" GOOD,
     "suite x:10:21: loss: \"many\" is not a whole number such as 500 or 10k"},
    {"findings beside fail", BEFORE GOOD "    expect: {lost: 3}\n",
     "suite x:12:14: \"lost\" stands under fail: {fail: {lost: …}}"},
    {"unknown key of expect", BEFORE GOOD "    expect: {fial: {lost: 3}}\n",
     "suite x:12:14: unknown key \"fial\" of expect (did you mean \"fail\"?)"},
    /* ---- steps that do not exist */
    {"bare sleep", SCRIPT("      - sleep: 5s\n"),
     "suite x:12:9: a bare sleep proves nothing: wait for a state (wait: {until: …, within: …}), "
     "or say "
     "why time must pass (quiet: {for: …, why: …})"},
    {"a sleep by another name", SCRIPT("      - delay: 5s\n"),
     "suite x:12:9: a bare delay proves nothing: wait for a state (wait: {until: …, within: …}), "
     "or say "
     "why time must pass (quiet: {for: …, why: …})"},
    {"quiet for nothing", SCRIPT("      - quiet: {why: time must pass}\n"),
     "suite x:12:16: quiet: one of \"for\" and \"until\" is needed"},
    {"quiet without why", SCRIPT("      - quiet: {for: 5s}\n"),
     "suite x:12:16: \"why\" is missing (why no state can be waited for)"},
    {"a wait for time only", SCRIPT("      - wait: 5s\n"),
     "suite x:12:15: wait takes a map: assay help wait"},
    {"shell", SCRIPT("      - shell: rm -rf /\n"),
     "suite x:12:9: shell: scripts run no shell: what is done to a system must be seen and undone "
     "(faults and commands: assay help faults)"},
    {"partition", SCRIPT("      - partition: {between: [leader(orders/0), app]}\n"),
     "suite x:12:9: partition is called `cut` here, because a partition is also part of a topic"},
    {"unknown step", SCRIPT("      - kil: leader(orders/0)\n"),
     "suite x:12:9: unknown step \"kil\" (did you mean \"kill\"?)"},
    {"two verbs in a step", SCRIPT("      - {kill: work, heal: x}\n"),
     "suite x:12:9: a step is one verb with its value: - kill: $old"},
    /* ---- what must be there */
    {"no promise", HEAD CLUSTERS WORKLOAD CLIENTS GOOD,
     "suite x:6:3: case \"C\" promises nothing: add promise: {loss: 0}"},
    {"no within", SCRIPT("      - wait: {until: 1 == 1}\n"),
     "suite x:12:15: \"within\" is missing (how long to wait at most)"},
    {"no within of interleave", SCRIPT("      - interleave: {points: [work.before_settle]}\n"),
     "suite x:12:21: \"within\" is missing (how long each point may take)"},
    {"no within of a wait for rest", SCRIPT("      - wait: {settled: completed(a), for: 1s}\n"),
     "suite x:12:15: \"within\" is missing (how long to wait at most)"},
    {"script and chaos",
     BEFORE GOOD "    chaos: {faults: [cut], every: 5s, for: 1s, duration: 20s}\n",
     "suite x:12:12: a case has a script or chaos, not both"},
    {"no script", BEFORE, "suite x:7:5: the case has no script: add script: or chaos:"},
    {"no clusters", HEAD WORKLOAD CLIENTS PROMISE GOOD,
     "suite x:7:5: the case names no clusters: add clusters: {bus: …}"},
    {"cut without end", SCRIPT("      - cut: {name: lag, between: [app, leader(orders/0)]}\n"),
     "suite x:12:9: cut \"lag\" is never healed: add \"heal: lag\" or for: 3s"},
    {"cut without name and end", SCRIPT("      - cut: {isolate: leader(orders/0)}\n"),
     "suite x:12:9: cut is never healed: give it a name and heal: it, or say for: 3s"},
    {"pause without end", SCRIPT("      - pause: leader(orders/0)\n"),
     "suite x:12:9: pause is never healed: add \"resume: leader(orders/0)\" or for: 3s"},
    {"cut inside repeat without end",
     SCRIPT("      - repeat: {times: 2, do: [{cut: {name: lag, isolate: app}}]}\n"),
     "suite x:12:34: cut \"lag\" is never healed: add \"heal: lag\" or for: 3s"},
    {"heal of nothing",
     SCRIPT("      - cut: {name: lag, between: [app, leader(orders/0)], for: 1s}\n      - heal: "
            "lga\n"),
     "suite x:13:9: heal: no fault \"lga\" above (did you mean \"lag\"?)"},
    {"heal of nothing, and the fault is left without end",
     SCRIPT("      - cut: {name: lag, between: [app, leader(orders/0)]}\n      - heal: lga\n"),
     "suite x:13:9: heal: no fault \"lga\" above (did you mean \"lag\"?)"},
    {"two faults of one name",
     SCRIPT("      - cut: {name: a, isolate: app, for: 1s}\n"
            "      - cut: {name: a, isolate: app, for: 1s}\n"),
     "suite x:13:9: a second fault \"a\": names are used once"},
    {"fault's own check", SCRIPT("      - cut: {for: 1s}\n"), "suite x:12:9: cut: no shape"},
    /* ---- twins */
    {"waiting for acks with twins",
     SCRIPT("      - background: {from: app, count: 9, name: a}\n"
            "      - wait: {until: acked(a) >= 5, within: 1s}\n") TWINS,
     "suite x:13:9: wait on acked(…) in a case with twins: a good twin refuses; wait for "
     "completed(…) or "
     "for a state both reach"},
    {"waiting for ok with twins",
     SCRIPT("      - background: {from: app, count: 9, name: a}\n"
            "      - wait: {settled: ok(a), for: 1s, within: 9s}\n") TWINS,
     "suite x:13:9: wait on ok(…) in a case with twins: a good twin refuses; wait for "
     "completed(…) or "
     "for a state both reach"},
    {"another script in a twin", BEFORE GOOD "    twins: {t: {expect: pass, with: {script: []}}}\n",
     "suite x:12:38: a twin's script may not differ: twins share script, seed and draws"},
    {"another matrix in a twin",
     BEFORE GOOD "    twins: {t: {expect: pass, with: {matrix: {n: [1]}}}}\n",
     "suite x:12:38: a twin's matrix may not differ: twins share script, seed and draws"},
    {"twin without expect", BEFORE GOOD "    twins: {t: {with: {}}}\n",
     "suite x:12:16: twin \"t\" does not say what it expects: add expect:"},
    {"unknown key of a twin", BEFORE GOOD "    twins: {t: {expect: pass, wiht: {}}}\n",
     "suite x:12:31: unknown key \"wiht\" of a twin (did you mean \"with\"?)"},
    /* ---- names */
    {"unknown client", SCRIPT("      - send: {from: ap, count: 1}\n"),
     "suite x:12:9: no client \"ap\" in this case (did you mean \"app\"?)"},
    {"unknown step of the workload",
     SCRIPT("      - hold: {at: {client: work, step: before_proces}}\n"),
     "suite x:12:41: workload mock_load has no step \"before_proces\" (did you mean "
     "\"before_process\"?)"},
    {"unknown role", SCRIPT("      - kill: leadr(orders/0)\n"),
     "suite x:12:15: unknown counter or role \"leadr\" in \"leadr(orders/0)\" (did you mean "
     "\"leader\"?)"},
    {"a role no system here has", SCRIPT("      - kill: primary\n"),
     "suite x:12:15: no system of this case has the role \"primary\""},
    {"a role of an unknown partition", SCRIPT("      - kill: leader(ordres/0)\n"),
     "suite x:12:15: \"ordres/0\" is unknown in \"leader(ordres/0)\" (did you mean \"orders/0\"?)"},
    {"unknown fault in chaos",
     BEFORE "    chaos: {faults: [cutt], every: 5s, for: 1s, duration: 20s}\n",
     "suite x:11:21: chaos cannot draw \"cutt\" (did you mean \"cut\"?)"},
    {"unbound name", SCRIPT("      - kill: $old\n"),
     "suite x:12:15: $old is not bound before this line"},
    {"unknown burst",
     SCRIPT("      - send: {from: app, count: 1, name: one}\n"
            "      - wait: {until: completed(on) == 1, within: 1s}\n"),
     "suite x:13:23: \"on\" is unknown in \"completed(on)\" (did you mean \"one\"?)"},
    {"unknown cluster", HEAD "    clusters: {bus: log4}\n" WORKLOAD CLIENTS PROMISE GOOD,
     "suite x:7:21: cluster \"bus\": \"log4\" is no cluster of the suite and no system (did you "
     "mean \"log3\"?)"},
    {"unknown destination",
     HEAD CLUSTERS WORKLOAD PROMISE GOOD "    clients: {w: {consume: ordres}}\n",
     "suite x:11:18: client \"w\": reads \"ordres\" is no destination of cluster \"bus\" (did you "
     "mean "
     "\"orders\"?)"},
    {"two clusters for one verb",
     HEAD "    clusters: {a: log3, b: other}\n" WORKLOAD CLIENTS PROMISE GOOD,
     "suite x:9:20: client \"app\": several clusters offer \"produce\": say which with on:"},
    {"nothing to do", HEAD CLUSTERS WORKLOAD PROMISE GOOD "    clients: {w: {outstanding: 5}}\n",
     "suite x:11:18: client \"w\" has nothing to do: one of produce, consume is needed"},
    {"unknown workload", HEAD CLUSTERS "    workload: {mock_laod: {}}\n" CLIENTS PROMISE GOOD,
     "suite x:8:16: unknown workload \"mock_laod\" (did you mean \"mock_load\"?)"},
    {"unknown promise", HEAD CLUSTERS WORKLOAD CLIENTS "    promise: {los: 0}\n" GOOD,
     "suite x:10:15: unknown promise \"los\" (did you mean \"loss\"?)"},
    {"unknown finding", BEFORE GOOD "    expect: {fail: {lots: 5}}\n",
     "suite x:12:21: no checker reports \"lots\" (did you mean \"lost\"?)"},
    {"finding nobody looks for", BEFORE GOOD "    expect: {fail: {order: 5}}\n",
     "suite x:12:21: \"order\" is only looked for where promise: says order"},
    {"vacuous without a promise", BEFORE GOOD "    expect: {vacuous: not_exercised(order)}\n",
     "suite x:12:23: \"order\" is no promise of this case"},
    {"a gauge in require", BEFORE GOOD "    require: [lag(g) == 0]\n",
     "suite x:12:15: lag(g) is only known while the case runs: keep it with note: {name: lag(g)}"},
    {"two sends of one name",
     SCRIPT("      - send: {from: app, count: 1, name: a}\n"
            "      - send: {from: app, count: 1, name: a}\n"),
     "suite x:13:9: a second \"a\": names of sends are used once"},
    {"unknown name",
     HEAD CLUSTERS "    workload: {mock_load: {payload: \"${size}\"}}\n" CLIENTS PROMISE GOOD,
     "suite x:8:37: ${size} is no input and no matrix name"},
    /* ---- config */
    {"a refused config key",
     "assay: 1\ncases:\n  C:\n    clusters: {bus: {mock_log: {}, server.properties: {plugin.a: "
     "b}}}\n" WORKLOAD CLIENTS PROMISE GOOD,
     "suite x:4:56: server.properties: plugin.a is refused: no plugins here"},
    {"a config the system does not want",
     "assay: 1\ncases:\n  C:\n    clusters: {bus: {mock_log: {}, topics: {refused: {}}}}\n" WORKLOAD
         CLIENTS PROMISE GOOD,
     "suite x:4:21: topic refused: the mock does not want it"},
    {"a config file that is not there",
     "assay: 1\ncases:\n  C:\n    clusters: {bus: {mock_log: {}, server.properties: {file: "
     "/no/such}}}\n" WORKLOAD CLIENTS PROMISE GOOD,
     "suite x:4:62: file: /no/such: No such file or directory"},
    /* ---- expressions */
    {"an expression that ends early", SCRIPT("      - wait: {until: 1 ==, within: 1s}\n"),
     "suite x:12:23: something is missing at the end in \"1 ==\""},
    {"an operator there is not", SCRIPT("      - wait: {until: 1 * 1, within: 1s}\n"),
     "suite x:12:23: expressions know + - == != >= <= > < in not; unexpected text at \"* 1\" in "
     "\"1 * 1\""},
    /* ---- judging */
    {"more messages than can be judged", SCRIPT("      - send: {from: app, count: 5000M}\n"),
     "suite x:6:3: case \"C\": judging it may take 4768 MiB, and the limit is 4096 MiB: give sends "
     "a count or a lower rate, set deadline: lower, or allow it with --memory 4769MiB"},
    {"version", "assay: 2\n", "suite x:1:8: assay: 2: this program reads suites of version 1"},
};

static void each_refusal_has_its_sentence(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        struct err err = {0};
        struct plan *plan = mock_load(refusals[i].suite, 1, NULL, &err);

        if (!plan && strcmp(err.text, refusals[i].sentence) == 0 && err.status == ERR_INPUT)
            continue;
        print_error("%s:\n  expected %s\n  got      %s\n", refusals[i].what, refusals[i].sentence,
                    plan ? "a plan" : err.text);
        plan_free(plan);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void a_node_name_is_a_warning(void **state)
{
    char *text = NULL;
    const char *place;
    size_t n;
    FILE *warn = open_memstream(&text, &n);
    struct err err = {0};
    struct plan *plan = mock_load(SCRIPT("      - kill: mock-1\n"), 1, warn, &err);

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    fclose(warn);
    place = strstr(text, ":12:15: "); /* behind the file's name, which is a new one each time */
    assert_non_null(place);
    assert_string_equal(place,
                        ":12:15: \"mock-1\" is a node's name: which node has which role changes "
                        "from run to run; a role says what is meant (leader(…), primary, "
                        "followers(…))\n");
    plan_free(plan);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_has_its_sentence),
        cmocka_unit_test(a_node_name_is_a_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
