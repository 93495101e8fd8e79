/* fsync and fdatasync that fail while there is the file that FAILING_SYNC_WHILE names. What was
   written stays where it is, in the page cache: only nobody says that it is stored. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sync_by(long call, int file)
{
    const char *sign = getenv("FAILING_SYNC_WHILE");
    if (sign && access(sign, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, file);
}

int fsync(int file)
{
    return sync_by(SYS_fsync, file);
}

int fdatasync(int file)
{
    return sync_by(SYS_fdatasync, file);
}
