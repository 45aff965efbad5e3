/* Files of other processes, as a debugger uses them. */

#include "guest.h"

int
procopen(int pid, const char *file, int mode)
{
	char name[64];

	snprint(name, sizeof name, "/proc/%d/%s", pid, file);
	return open(name, mode);
}

int
procwrite(int pid, const char *file, const char *text)
{
	int fd, n;
	char err[ERRMAX];

	fd = procopen(pid, file, OWRITE);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	rerrstr(err, sizeof err);
	close(fd);
	if (n < 0)
		errstr(err, sizeof err);
	return n;
}

int
procread(int pid, const char *file, char *buf, int n)
{
	int fd, m, got;

	fd = procopen(pid, file, OREAD);
	if (fd < 0)
		return -1;
	for (got = 0; got < n - 1; got += m) {
		m = read(fd, buf + got, n - 1 - got);
		if (m < 0) {
			close(fd);
			return -1;
		}
		if (m == 0)
			break;
	}
	buf[got] = 0;
	close(fd);
	return got;
}

/* the status has name, user and state in fields of 28, 28 and 12 */
int
procstate(int pid, const char *state)
{
	char buf[256];
	int i, n = strlen(state);

	for (i = 0; i < 500; i++) {
		if (procread(pid, "status", buf, sizeof buf) < 68)
			return 0;
		if (strncmp(buf + 56, state, n) == 0 && buf[56 + n] == ' ')
			return 1;
		sleep(10);
	}
	return 0;
}
