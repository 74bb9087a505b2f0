/*
 * What is made once per Kafka version and kept in the cache folder: a class-data archive (halves
 * the start of every node) and, for 4.x, the bootstrap.checkpoint that StorageTool writes. Both are
 * made under a file lock by one short-lived server in a network namespace of its own.
 *
 *     CACHE/kafka-3.9.1/libs/…jar  kafka.jsa  lock  warm.log        jars: pom.xml beside this file
 *     CACHE/kafka-home-HASH/       kafka.jsa  …                     for `home:` and KAFKA_HOME
 *
 * Source: JDK 17 java(1) on -XX:ArchiveClassesAtExit; kafka.tools.StorageTool.
 */
#include "base/draw.h"
#include "base/file.h"
#include "systems/kafka/kafka.h"
#include "systems/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_LIMIT_NS (120 * SECOND_NS)

/* ---- where things are */

const char *kafka_home(const struct kafka_config *config)
{
    if (config->kafka.home && config->kafka.home[0])
        return config->kafka.home;
    if (config->kafka.version && config->kafka.version[0])
        return NULL; /* a version that was asked for beats the environment */
    return getenv("KAFKA_HOME");
}

static int find_java(char *out, size_t size, struct err *err)
{
    const char *java_home = getenv("JAVA_HOME");
    const char *path = getenv("PATH");

    if (java_home && java_home[0]) {
        snprintf(out, size, "%s/bin/java", java_home);
        if (access(out, X_OK) == 0)
            return 0;
    }
    for (const char *at = path ? path : "/usr/bin"; *at;) {
        size_t n = strcspn(at, ":");

        snprintf(out, size, "%.*s/java", (int)n, at);
        if (n > 0 && access(out, X_OK) == 0)
            return 0;
        at += n + (at[n] == ':');
    }
    return err_set(err, "no java in JAVA_HOME or PATH: Kafka 3.9 and 4.x need Java 17 (Debian: "
                        "openjdk-17-jre-headless)");
}

static int is_jar(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 4 && strcmp(entry->d_name + n - 4, ".jar") == 0;
}

/* "kafka-clients-3.9.1.jar" says what the rest is too. */
static void note_version(struct kafka_places *p, const char *jar)
{
    static const char prefix[] = "kafka-clients-";
    size_t n = strlen(jar);

    if (strncmp(jar, prefix, sizeof(prefix) - 1) == 0 && jar[sizeof(prefix) - 1] >= '0' &&
        jar[sizeof(prefix) - 1] <= '9')
        snprintf(p->version, sizeof(p->version), "%.*s", (int)(n - 4 - (sizeof(prefix) - 1)),
                 jar + sizeof(prefix) - 1);
}

static int list_jars(struct kafka_places *p, struct err *err)
{
    struct dirent **entries;
    int n = scandir(p->libs, &entries, is_jar, alphasort);
    size_t size = 1;
    FILE *out;

    if (n < 0)
        return err_errno(err, "jars in %s", p->libs);
    out = open_memstream(&p->class_path, &size);
    for (int i = 0; i < n; i++) {
        note_version(p, entries[i]->d_name);
        if (out)
            fprintf(out, "%s%s/%s", i > 0 ? ":" : "", p->libs, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (!out || fclose(out) != 0)
        return err_errno(err, "class path");
    if (!p->version[0])
        return err_set(err, "no kafka-clients-VERSION.jar in %s", p->libs);
    return 0;
}

static void find_libs(const struct kafka_config *config, const char *cache, struct kafka_places *p,
                      char *folder, size_t size)
{
    const char *home = kafka_home(config);

    if (home) {
        struct draw d = draw_stream(0, home);

        snprintf(p->libs, sizeof(p->libs), "%s/libs", home);
        snprintf(folder, size, "%s/kafka-home-%08llx", cache,
                 (unsigned long long)(draw_u64(&d, 0) >> 32));
    } else {
        snprintf(folder, size, "%s/kafka-%s", cache, kafka_version_wanted(config));
        snprintf(p->libs, sizeof(p->libs), "%s/libs", folder);
    }
}

/* The archive remembers the class path as text: one spelling, whatever links lead there. */
static int resolve_libs(struct kafka_places *p, struct err *err)
{
    char *real = realpath(p->libs, NULL);

    if (!real)
        return err_errno(err, "%s", p->libs);
    snprintf(p->libs, sizeof(p->libs), "%s", real);
    free(real);
    return 0;
}

/* ---- a short-lived JVM */

/* Between fork and exec of a threaded process: only async-signal-safe calls. */
static void private_network(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    int s;

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        _exit(126); /* never on ports of the host */
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0)
        _exit(126);
}

static pid_t spawn_java(const char *const *argv, const char *log, struct err *err)
{
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    pid_t parent = getpid(), pid;

    if (out < 0)
        return err_errno(err, "%s", log);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        private_network();
        dup2(out, 1);
        dup2(out, 2);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(out);
    if (pid < 0)
        return err_errno(err, "fork");
    return pid;
}

static bool file_says(const char *path, const char *words)
{
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    FILE *in = fopen(path, "re");

    if (!in)
        return false;
    while (!found && getline(&line, &size, in) >= 0)
        found = strstr(line, words) != NULL;
    free(line);
    fclose(in);
    return found;
}

/* Runs it to its end; with `until`, sends SIGTERM once its log says so. 0 when it ended well. */
static int run_java(const char *const *argv, const char *log, const char *until, struct err *err)
{
    struct deadline deadline = deadline_in(WARM_LIMIT_NS, NULL);
    bool told = until == NULL;
    int status = 0;
    pid_t pid = spawn_java(argv, log, err), done;

    if (pid < 0)
        return -1;
    while ((done = waitpid(pid, &status, WNOHANG)) == 0) {
        if (!told && file_says(log, until)) {
            kill(pid, SIGTERM);
            told = true;
        }
        if (deadline_sleep(&deadline, 100 * MS_NS) < 0) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return err_set(err, "java did not end in time, see %s", log);
        }
    }
    if (done < 0)
        return err_errno(err, "waitpid");
    /* a JVM that was told to leave ends with 143 */
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || (until && WEXITSTATUS(status) == 143)))
        return 0;
    return err_set(err, "java failed, see %s", log);
}

/* ---- making */

/* Log segments of the short-lived server. */
static void remove_warm(const char *folder)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/warm", folder);
    file_remove_tree(path);
}

static int warm_config(const char *folder, char *path, size_t size, struct err *err)
{
    char text[2000];
    char dir[640];

    snprintf(dir, sizeof(dir), "%s/warm", folder);
    if (file_make_folders(dir) < 0)
        return err_errno(err, "%s", dir);
    snprintf(path, size, "%s/server.properties", dir);
    snprintf(
        text, sizeof(text),
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
        "listeners=CLIENT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
        "listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        "inter.broker.listener.name=CLIENT\ncontroller.listener.names=CONTROLLER\nlog.dirs=%s/log\n"
        "num.network.threads=1\nnum.io.threads=2\nlog.cleaner.dedupe.buffer.size=2097152\n",
        dir);
    if (file_write(path, text, strlen(text), err) < 0)
        return -1;
    /* without them nothing says when the server has started */
    snprintf(text, sizeof(text), "%s/log4j.properties", dir);
    if (file_write(text, kafka_log4j1, strlen(kafka_log4j1), err) < 0)
        return -1;
    snprintf(text, sizeof(text), "%s/log4j2.properties", dir);
    return file_write(text, kafka_log4j2, strlen(kafka_log4j2), err);
}

static int format_once(const struct kafka_places *p, const char *folder, struct err *err)
{
    char config[700], log[640];
    const char *argv[] = {p->java,
                          "-cp",
                          p->class_path,
                          "kafka.tools.StorageTool",
                          "format",
                          "-t",
                          "KAAAAAAAAAAAAAAAAAAAAA",
                          "-c",
                          config,
                          NULL};

    remove_warm(folder);
    snprintf(log, sizeof(log), "%s/format.log", folder);
    if (warm_config(folder, config, sizeof(config), err) < 0)
        return -1;
    return run_java(argv, log, NULL, err);
}

static int make_archive(const struct kafka_places *p, const char *folder, struct err *err)
{
    char config[700], log[640], flag[700], made[640], log4j1[800], log4j2[800];
    const char *argv[] = {p->java,
                          "-Xms96m",
                          "-Xmx256m",
                          "-XX:+UseSerialGC",
                          "-XX:TieredStopAtLevel=1",
                          "-XX:-UsePerfData",
                          flag,
                          log4j1,
                          log4j2,
                          "-cp",
                          p->class_path,
                          "kafka.Kafka",
                          config,
                          NULL};

    snprintf(config, sizeof(config), "%s/warm/server.properties", folder);
    snprintf(log, sizeof(log), "%s/warm.log", folder);
    snprintf(made, sizeof(made), "%s/kafka.jsa.new", folder);
    snprintf(log4j1, sizeof(log4j1), "-Dlog4j.configuration=file:%s/warm/log4j.properties", folder);
    snprintf(log4j2, sizeof(log4j2), "-Dlog4j2.configurationFile=%s/warm/log4j2.properties",
             folder);
    snprintf(flag, sizeof(flag), "-XX:ArchiveClassesAtExit=%s", made);
    if (run_java(argv, log, "Kafka Server started", err) < 0)
        return -1;
    if (rename(made, p->archive) < 0)
        return err_errno(err, "class-data archive (see %s)", log);
    return 0;
}

static int copy_checkpoint(const char *folder, const char *to, struct err *err)
{
    char from[700], bytes[65536];
    int in, out;
    ssize_t n;

    snprintf(from, sizeof(from), "%s/warm/log/bootstrap.checkpoint", folder);
    in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_errno(err, "%s", from);
    n = read(in, bytes, sizeof(bytes));
    close(in);
    out = n > 0 ? open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (out < 0 || write(out, bytes, (size_t)n) != n || close(out) < 0)
        return err_errno(err, "%s", to);
    return 0;
}

/* Under the lock: whoever waited for it finds everything made. */
static int make_missing(struct kafka_places *p, const char *folder, const char *checkpoint,
                        struct err *err)
{
    char failed[640];
    struct err why;

    snprintf(failed, sizeof(failed), "%s/kafka.jsa.failed", folder);
    if (access(p->archive, R_OK) == 0 && (!p->checkpoint || access(checkpoint, R_OK) == 0))
        return 0;
    if (format_once(p, folder, err) < 0 ||
        (p->checkpoint && copy_checkpoint(folder, checkpoint, err) < 0))
        return -1;
    if (access(p->archive, R_OK) < 0 && access(failed, F_OK) < 0 &&
        make_archive(p, folder, &why) < 0)
        /* nodes start without it, only slower */
        file_write(failed, why.text, strlen(why.text), NULL);
    remove_warm(folder);
    return 0;
}

static int read_checkpoint(struct kafka_places *p, const char *path, struct err *err)
{
    struct stat st;
    int in = open(path, O_RDONLY | O_CLOEXEC);

    if (in < 0)
        return err_errno(err, "%s", path);
    if (fstat(in, &st) == 0 && (p->checkpoint_bytes = malloc((size_t)st.st_size + 1)))
        p->checkpoint_size = (size_t)read(in, p->checkpoint_bytes, (size_t)st.st_size);
    close(in);
    return p->checkpoint_size == (size_t)st.st_size ? 0 : err_set(err, "%s: cut short", path);
}

static int make_under_lock(struct kafka_places *p, const char *folder, const char *checkpoint,
                           struct err *err)
{
    char path[640];
    int lock, result;

    if (file_make_folders(folder) < 0)
        return err_errno(err, "%s", folder);
    snprintf(path, sizeof(path), "%s/lock", folder);
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        err_errno(err, "%s", path);
        if (lock >= 0)
            close(lock);
        return -1;
    }
    result = make_missing(p, folder, checkpoint, err);
    close(lock);
    return result;
}

int kafka_places_find(struct kafka_places *p, const struct kafka_config *config, const char *cache,
                      bool make, struct err *err)
{
    char folder[560], checkpoint[640];

    *p = (struct kafka_places){0};
    find_libs(config, cache, p, folder, sizeof(folder));
    if (find_java(p->java, sizeof(p->java), err) < 0)
        return -1;
    if (access(p->libs, R_OK) < 0)
        return err_set(err,
                       "no jars in %s: `ci/roots kafka-%s` fetches them (or set KAFKA_HOME, or "
                       "`kafka: {home: …}`)",
                       p->libs, kafka_version_wanted(config));
    if (resolve_libs(p, err) < 0 || list_jars(p, err) < 0)
        goto fail;
    p->checkpoint = atoi(p->version) >= 4;
    snprintf(p->archive, sizeof(p->archive), "%s/kafka.jsa", folder);
    snprintf(checkpoint, sizeof(checkpoint), "%s/bootstrap.checkpoint", folder);
    if (make && make_under_lock(p, folder, checkpoint, err) < 0)
        goto fail;
    if (access(p->archive, R_OK) < 0)
        p->archive[0] = '\0';
    if (make && p->checkpoint && read_checkpoint(p, checkpoint, err) < 0)
        goto fail;
    return 0;
fail:
    kafka_places_release(p);
    return err_prefix(err, "kafka");
}

void kafka_places_release(struct kafka_places *p)
{
    free(p->class_path);
    free(p->checkpoint_bytes);
    p->class_path = NULL;
    p->checkpoint_bytes = NULL;
}

const void *kafka_with_version(const void *config, const char *version, struct arena *arena,
                               struct err *err)
{
    struct kafka_config *other = arena_alloc(arena, sizeof(*other));

    *other = *(const struct kafka_config *)config;
    if (other->kafka.home && other->kafka.home[0]) {
        err_input(err,
                  "the suite says where its brokers' jars are: there is no other version of them");
        return NULL;
    }
    other->kafka.version = version;
    return kafka_version_known(other, err) < 0 ? NULL : other;
}

int kafka_version(const void *config, char *out, size_t size, struct err *err)
{
    const struct kafka_config *k = config;
    struct kafka_places p = {0};
    const char *home = kafka_home(k);

    if (!home) {
        snprintf(out, size, "%s", kafka_version_wanted(k));
        return 0;
    }
    snprintf(p.libs, sizeof(p.libs), "%s/libs", home);
    if (list_jars(&p, err) < 0) {
        kafka_places_release(&p);
        return -1;
    }
    snprintf(out, size, "%s", p.version);
    kafka_places_release(&p);
    return 0;
}

int kafka_installed(struct err *err)
{
    static const struct kafka_config defaults = {0};
    struct kafka_places places;
    char cache[500];

    cache_folder(cache, sizeof(cache));
    if (kafka_places_find(&places, &defaults, cache, false, err) < 0)
        return -1;
    kafka_places_release(&places);
    return 0;
}
