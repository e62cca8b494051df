// What a container must not be able to ask of the kernel.
#include "attacks.h"
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static long in_child(long (*call)(void)) {
    int pipes[2], answer[2] = {0, 0};
    if (pipe(pipes) != 0) return -1;
    if (fork() == 0) {
        answer[0] = call() >= 0 ? 0 : -1;
        answer[1] = errno;
        if (write(pipes[1], answer, sizeof answer) < 0) _exit(1);
        _exit(0);
    }
    close(pipes[1]);
    if (read(pipes[0], answer, sizeof answer) != sizeof answer) answer[0] = -1;
    close(pipes[0]);
    wait(NULL);
    errno = answer[1];
    return answer[0];
}

static long user_namespace(void) { return unshare(CLONE_NEWUSER); }
static long mount_namespace(void) { return unshare(CLONE_NEWNS); }
static long mount_memory(void) { return mount("x", "/tmp", "tmpfs", 0, NULL); }
static long mount_proc(void) { return mount("proc", "/tmp", "proc", 0, NULL); }
static long mount_cgroup(void) { return mount("cgroup", "/tmp", "cgroup", 0, "pids"); }
static long remount_cgroup(void) { return mount("", "/sys/fs/cgroup/pids", "", MS_REMOUNT | MS_BIND, NULL); }
static long remount_proc(void) { return mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, NULL); }
static long unmount_mask(void) { return umount2("/sys/firmware", MNT_DETACH); }
static long open_handle(void) {
    // The root directory of most file systems is their inode 2, whatever the container sees of them.
    struct {
        struct file_handle head;
        uint32_t inode[2];
    } handle = {{8, 1, {}}, {2, 0}};
    int here = open("/etc/hostname", O_RDONLY);
    return open_by_handle_at(here, &handle.head, O_RDONLY);
}
static long host_disk(void) {
    struct stat here;
    stat("/etc/hostname", &here);
    unlink("/disk");
    if (mknod("/disk", S_IFBLK | 0600, here.st_dev) != 0) return -1;
    return open("/disk", O_RDONLY);
}
static long memory_device(void) {
    unlink("/mem");
    if (mknod("/mem", S_IFCHR | 0600, makedev(1, 1)) != 0) return -1;
    return open("/mem", O_RDONLY);
}
static long kernel_log(void) { return syscall(SYS_syslog, 5, NULL, 0); }
static long load_module(void) { return syscall(SYS_init_module, NULL, 0, ""); }
static long load_bpf(void) {
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}
static long watch_machine(void) {
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes};
    return syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0);
}
static long set_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return syscall(SYS_clock_settime, CLOCK_REALTIME, &now);
}
static long join_init(void) {
    int fd = open("/proc/1/ns/mnt", O_RDONLY);
    return fd < 0 ? -1 : setns(fd, 0);
}
static long add_key(void) { return syscall(SYS_add_key, "user", "attack", "x", 1, -3); }
static long read_keys(void) { return syscall(SYS_keyctl, 0, -3, 0); }
static long ask_key(void) { return syscall(SYS_request_key, "user", "attack", NULL, 0); }
static long userfault(void) { return syscall(SYS_userfaultfd, 0); }
static long uring(void) {
    char parameters[256] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters);
}

// `calls`: tries each, every one in a process of its own.
int calls(int argc, char **argv) {
    (void)argc, (void)argv;
    static const struct {
        const char *name;
        long (*call)(void);
    } CALLS[] = {
        {"user-namespace", user_namespace}, {"mount-namespace", mount_namespace}, {"mount-tmpfs", mount_memory},
        {"mount-proc", mount_proc},         {"mount-cgroup", mount_cgroup},       {"remount-cgroup", remount_cgroup},
        {"remount-proc", remount_proc},     {"unmount-mask", unmount_mask},       {"open-by-handle", open_handle},
        {"host-disk", host_disk},           {"memory-device", memory_device},     {"kernel-log", kernel_log},
        {"load-module", load_module},       {"bpf", load_bpf},                    {"perf", watch_machine},
        {"set-clock", set_clock},           {"join-namespace", join_init},        {"add-key", add_key},
        {"read-keys", read_keys},           {"request-key", ask_key},             {"userfaultfd", userfault},
        {"io-uring", uring},
    };
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) told(CALLS[i].name, in_child(CALLS[i].call));
    return 0;
}

static int enter_nested(void) { return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWPID); }
static long nested_mask(void) { return enter_nested() != 0 ? -1 : umount2("/sys/firmware", MNT_DETACH); }
static long nested_remount(void) {
    return enter_nested() != 0 ? -1 : mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, NULL);
}
static long nested_release_agent(void) {
    // CVE-2022-0492: a v1 hierarchy of the attacker's own mounting, whose release agent the host would run.
    if (enter_nested() != 0 || mount("cgroup", "/tmp", "cgroup", 0, "pids") != 0) return -1;
    return open("/tmp/release_agent", O_WRONLY);
}
static long nested_proc(void) {
    // A new view of the processes, without the masks.
    if (enter_nested() != 0) return -1;
    int pid = fork(), status = 0;
    if (pid == 0) _exit(mount("proc", "/tmp", "proc", 0, NULL) == 0 ? 0 : errno);
    waitpid(pid, &status, 0);
    errno = WEXITSTATUS(status);
    return errno == 0 ? 0 : -1;
}

// `nested`: the same walls from inside a user namespace of the attacker's own, where it has every capability.
int nested(int argc, char **argv) {
    (void)argc, (void)argv;
    told("mask", in_child(nested_mask));
    told("remount", in_child(nested_remount));
    told("release-agent", in_child(nested_release_agent));
    told("proc", in_child(nested_proc));
    return 0;
}

// `user`: who this process acts as.
int user(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("%d\n", geteuid());
    return 0;
}

// `keys`: the serial number of the session keyring that this process has.
int keys(int argc, char **argv) {
    long serial = syscall(SYS_keyctl, 0, -3, 0);
    if (serial < 0) return told("session", -1), 1;
    printf("session=%ld\n", serial);
    if (argc > 0) told(argv[0], syscall(SYS_keyctl, 10, -3, "user", argv[0], 0));
    return 0;
}

// `spy PID`: looks into another process, in each way the kernel has.
int spy(int argc, char **argv) {
    if (argc < 1) return 64;
    int pid = atoi(argv[0]);
    char path[64], byte;
    static const char *FILES[] = {"root/etc/passwd", "mem", "environ", "fd/0", "exe", "maps", "cwd/etc/passwd"};
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, FILES[i]);
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        told(FILES[i], fd);
        if (fd >= 0) close(fd);
    }
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    told("process_vm_readv", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    told("process_vm_writev", process_vm_writev(pid, &local, 1, &remote, 1, 0));
    long attached = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
    told("ptrace", attached);
    int handle = syscall(SYS_pidfd_open, pid, 0);
    told("pidfd_getfd", handle < 0 ? -1 : syscall(SYS_pidfd_getfd, handle, 0, 0));
    told("kcmp", syscall(SYS_kcmp, getpid(), pid, 0, 0, 0));
    return 0;
}
