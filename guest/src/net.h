/* Calling and being called by the files of /net, as dial(2) has it. */

#include "guest.h"

#define SHARED static __attribute__((unused))

enum { NETPATH = 64 };

/* ask the connection server: the clone file and the message's address, in reply; 0, or -1 */
SHARED int
translate(const char *addr, char *reply, int n)
{
	int got, fd = open("/net/cs", ORDWR);

	if (fd < 0)
		return -1;
	if (write(fd, addr, strlen(addr)) < 0 || seek(fd, 0, 0) < 0) {
		close(fd);
		return -1;
	}
	got = read(fd, reply, n - 1);
	close(fd);
	if (got <= 0)
		return -1;
	reply[got] = 0;
	return 0;
}

/* a conversation that was given a message (connect, announce); its ctl file, or -1. dir is its directory */
SHARED int
converse(const char *message, const char *addr, char *dir)
{
	char reply[160], text[200], num[16];
	char *where, *end;
	int n, fd;

	if (translate(addr, reply, sizeof reply) < 0)
		return -1;
	where = strchr(reply, ' ');
	if (where == nil)
		return -1;
	*where++ = 0;
	fd = open(reply, ORDWR);
	if (fd < 0)
		return -1;
	n = read(fd, num, sizeof num - 1);
	if (n <= 0 || write(fd, text, snprint(text, sizeof text, "%s %s", message, where)) < 0) {
		close(fd);
		return -1;
	}
	num[n] = 0;
	end = strrchr(reply, '/');
	*end = 0;
	snprint(dir, NETPATH, "%s/%s", reply, num);
	return fd;
}

/* a file of a conversation's directory, or -1 */
SHARED int
netfile(const char *dir, const char *name, int mode)
{
	char path[NETPATH + 16];

	snprint(path, sizeof path, "%s/%s", dir, name);
	return open(path, mode);
}

/* a connection's data file, or -1; its ctl file too, if ctl is given */
SHARED int
dial(const char *addr, int *ctl)
{
	char dir[NETPATH];
	int data, fd = converse("connect", addr, dir);

	if (fd < 0)
		return -1;
	data = netfile(dir, "data", ORDWR);
	if (ctl != nil)
		*ctl = fd;
	else
		close(fd);
	return data;
}

/* wait for a call; its data file, or -1. *ctl keeps it open */
SHARED int
answer(const char *dir, int *ctl)
{
	char call[NETPATH], num[16];
	int n;

	*ctl = netfile(dir, "listen", ORDWR);
	if (*ctl < 0)
		return -1;
	n = pread(*ctl, num, sizeof num - 1, 0);
	if (n <= 0)
		return -1;
	num[n] = 0;
	strcpy(call, dir);
	strcpy(strrchr(call, '/') + 1, num);
	return netfile(call, "data", ORDWR);
}
