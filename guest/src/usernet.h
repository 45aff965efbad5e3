/*
 * The checks of usertests that concern /net: what each file takes and what it says to the rest, in full
 * (ip/devip.c, ip/tcp.c, ip/udp.c, ip/ipifc.c, ip/iproute.c, ip/arp.c, ip/netlog.c, cmd/ndb/cs.c, cmd/ndb/dns.c).
 */

typedef struct Message Message;
struct Message {
	const char *file;  /* below /net; a protocol stands for a new conversation of it */
	const char *text;
	const char *error; /* nil: it is taken */
};

static const char UNKNOWN[] = "unknown control request";
static const char BADIP[] = "bad ip address syntax";
static const char BADARG[] = "bad arg in system call";

/* there may be no network: --net off */
static NOINLINE void
neednet(void)
{
	int fd = open("/net/tcp/stats", OREAD);

	if (fd < 0)
		fail("skipped: no network");
	close(fd);
}

/* each message to a file of its own */
static NOINLINE void
answers(const Message *m, int n)
{
	char path[64];
	int fd, r;

	neednet();
	for (; n > 0; n--, m++) {
		snprint(path, sizeof path, "/net/%s%s", m->file, strcmp(m->file, "tcp") == 0 || strcmp(m->file, "udp") == 0 ||
			strcmp(m->file, "ipifc") == 0 ? "/clone" : "");
		fd = open(path, ORDWR);
		good(fd, path);
		r = write(fd, m->text, strlen(m->text));
		if (m->error != nil)
			refused(r, m->text, m->error);
		else if (r != (int)strlen(m->text))
			syserr(m->text);
		close(fd);
	}
}

static void
net_tcp(void)
{
	static const Message m[] = {
		{"tcp", "", "short control request"},
		{"tcp", " \n", "short control request"},
		{"tcp", "frob", UNKNOWN},
		{"tcp", "connect", "bad args to connect"},
		{"tcp", "connect 1 2 3", "bad args to connect"},
		{"tcp", "connect 127.0.0.1", "malformed address"},
		{"tcp", "connect x!80", BADIP},
		{"tcp", "connect 127.0.0.1!1", "connection refused"},
		{"tcp", "connect ::1!1", "connection refused"},
		{"tcp", "connect 127.0.0.1!1!r 600", "connection refused"},
		{"tcp", "connect 10.1.2.3!80", "no route"},
		{"tcp", "connect 127.0.0.1!80 1.2.3.4!5", "not a local IP address"},
		{"tcp", "announce", "bad args to announce"},
		{"tcp", "announce 1 2", "bad args to announce"},
		{"tcp", "announce 1.2.3.4!80", "not a local IP address"},
		{"tcp", "announce y!80", BADIP},
		{"tcp", "announce *!8081", nil},
		{"tcp", "announce 127.0.0.1!0", nil},
		{"tcp", "announce 8082\n", nil},
		{"tcp", "bind", "bad args to bind"},
		{"tcp", "bind 8083", nil},
		{"tcp", "bind 1.2.3.4!5", "not a local IP address"},
		{"tcp", "keepalive", "connection must be in Establised state"},
		{"tcp", "keepalive 1000", "connection must be in Establised state"},
		{"tcp", "checksum 0", nil},
		{"tcp", "tcpporthogdefense on", nil},
		{"tcp", "tcpporthogdefense maybe", "unknown value for tcpporthogdefense"},
		{"tcp", "hangup", nil},
		{"tcp", "hangup now", UNKNOWN},
		{"tcp", "headers", UNKNOWN},
		{"tcp", "accept", UNKNOWN},
		{"tcp", "reject no", UNKNOWN},
		{"tcp", "ttl", nil},
		{"tcp", "ttl 5", nil},
		{"tcp", "tos 1", nil},
		{"tcp", "ignoreadvice", nil},
		{"tcp", "maxfragsize", "maxfragsize needs size"},
		{"tcp", "maxfragsize 0x200", nil},
		{"tcp", "addmulti", "addmulti needs interface address"},
		{"tcp", "remmulti", "remmulti needs interface address"},
	};

	answers(m, nelem(m));
}

static void
net_udp(void)
{
	static const Message m[] = {
		{"udp", "headers", nil},
		{"udp", "headers 4", UNKNOWN},
		{"udp", "hangup", UNKNOWN},
		{"udp", "keepalive", UNKNOWN},
		{"udp", "connect 127.0.0.1!1", nil},
		{"udp", "connect 10.1.2.3!80", nil},
		{"udp", "announce *!8081", nil},
		{"udp", "addmulti 127.0.0.1", "addmulti for a non multicast address"},
		{"udp", "addmulti 127.0.0.1 1.2.3.4", "addmulti for a non multicast address"},
		{"udp", "addmulti x 224.0.0.9", BADIP},
		{"udp", "addmulti 127.0.0.1 x", BADIP},
		{"udp", "addmulti 127.0.0.1 224.0.0.9", nil},
		{"udp", "addmulti ::1 224.0.0.9", nil},
		{"udp", "remmulti 127.0.0.1", "remmulti for a non multicast address"},
		{"udp", "remmulti 127.0.0.1 224.0.0.9", "remmulti for a non multicast address"},
	};

	answers(m, nelem(m));
}

static void
net_ipifc(void)
{
	static const char unbound[] = "ipifc not yet bound to device";
	static const Message m[] = {
		{"ipifc", "frob", "unsupported ctl"},
		{"ipifc", "bind", BADARG},
		{"ipifc", "bind frob x", "unknown interface type"},
		{"ipifc", "add 127.0.0.2", unbound},
		{"ipifc", "try 127.0.0.2", unbound},
		{"ipifc", "connect 127.0.0.2", unbound},
		{"ipifc", "announce 1", "announce not supported"},
		{"ipifc", "remove", BADARG},
		{"ipifc", "remove x 255.0.0.0", BADIP},
		{"ipifc", "remove 1.2.3.4 255.0.0.0", "address not on this interface"},
		{"ipifc", "mtu 1000", BADARG},
		{"ipifc", "unbind", nil},
		{"ipifc", "iprouting", nil},
		{"ipifc", "iprouting 0", nil},
		{"ipifc", "addmulti", "addmulti needs interface address"},
		{"ipifc/0/ctl", "bind loopback /dev/null", "interface already bound"},
		{"ipifc/0/ctl", "add", BADARG},
		{"ipifc/0/ctl", "add x", BADIP},
		{"ipifc/0/ctl", "add 127.0.0.1 255.0.0.0 x", BADIP},
		{"ipifc/0/ctl", "add 1 2 3 4 5 6", BADARG},
		{"ipifc/0/ctl", "mtu", BADARG},
		{"ipifc/0/ctl", "mtu 16385", BADARG},
		{"ipifc/0/ctl", "mtu 16384", nil},
		{"ipifc/0/ctl", "add 127.0.0.9 255.0.0.0", nil},
		{"ipifc/0/ctl", "remove 127.0.0.9 255.255.0.0", "address not on this interface"},
		{"ipifc/0/ctl", "remove 127.0.0.9 255.0.0.0", nil},
		{"ipifc/0/ctl", "joinmulti 224.0.0.9", nil},
		{"ipifc/0/ctl", "reassemble", nil},
	};

	answers(m, nelem(m));
}

static void
net_tables(void)
{
	static const Message m[] = {
		{"iproute", "add", BADARG},
		{"iproute", "add 10.0.0.0 255.0.0.0", BADARG},
		{"iproute", "add x 255.0.0.0 127.0.0.1", BADIP},
		{"iproute", "add 10.0.0.0 255.0.0.0 x", BADIP},
		{"iproute", "add 10.0.0.0 255.0.0.0 127.0.0.1", nil},
		{"iproute", "remove 10.0.0.0", BADARG},
		{"iproute", "remove x 255.0.0.0", BADIP},
		{"iproute", "remove 10.0.0.0 255.0.0.0", nil},
		{"iproute", "tag", BADARG},
		{"iproute", "tag mine", nil},
		{"iproute", "flush mine", nil},
		{"iproute", "frob", nil},
		{"arp", "", "bad arp"},
		{"arp", "frob", "bad arp"},
		{"arp", "flush", nil},
		{"arp", "del", BADARG},
		{"arp", "del x", BADIP},
		{"arp", "del 127.0.0.2", nil},
		{"arp", "add", BADARG},
		{"arp", "add 1.2.3.4 001122334455", "Destination unreachable"},
		{"arp", "add 127.0.0.2 001122334455", "bad arp"},
		{"arp", "add ether 127.0.0.2 001122334455", "bad arp"},
		{"log", "set", "too few arguments for netlog control message"},
		{"log", "frob tcp", "unknown control message \"frob tcp\""},
		{"log", "set frob", nil},
		{"log", "set tcp udpmsg", nil},
		{"log", "clear tcp udpmsg", nil},
		{"log", "only 127.0.0.1", nil},
		{"log", "only ::", nil},
		{"ndb", "", nil},
		{"ndb", "sys=here\n", nil},
	};
	char big[1024];
	int fd;

	answers(m, nelem(m));
	fd = open("/net/ndb", ORDWR);
	memset(big, 'x', sizeof big);
	refused(pwrite(fd, big, sizeof big, 0), "pwrite", "i/o error");
	refused(pwrite(fd, big, 1, 10), "pwrite past the end", "i/o error");
	equal(pread(fd, big, sizeof big, 0), 9, "bytes of ndb");
	good(open("/net/ndb", OWRITE | OTRUNC), "truncate");
	equal(pread(fd, big, sizeof big, 0), 0, "bytes of ndb");
	refused(open("/net/ipselftab", ORDWR), "open", "'/net/ipselftab' permission denied");
	refused(open("/net/tcp/stats", OWRITE), "open", "'/net/tcp/stats' permission denied");
	refused(open("/net/tcp/9999", OREAD), "open", "'/net/tcp/9999' does not exist");
	refused(open("#I128", OREAD), "open", "bad specification");
}

static void
net_names(void)
{
	static const Message m[] = {
		{"cs", "tcp!localhost!echo", nil},
		{"cs", "tcp!localhost!frob", "can't translate service"},
		{"cs", "tcp!nobody.example!echo", "can't translate address: dns: name does not exist"},
		{"cs", "!frob", "bad query"},
		{"cs", "!sys=nobody", "no match"},
		{"dns", "localhost", "dns: illegal request localhost"},
		{"dns", "localhost frob", "dns: unknown type frob"},
		{"dns", "nobody.example ip", "dns: name does not exist"},
	};
	static char big[65536];
	char reply[160];
	int fd;

	answers(m, nelem(m));
	memset(big, 'x', sizeof big);
	fd = open("/net/cs", ORDWR);
	refused(write(fd, big, 128), "128 bytes", "request too long");
	refused(write(fd, big, sizeof big), "64 kB", "request too long");
	fd = open("/net/dns", ORDWR);
	refused(write(fd, big, 1024), "1024 bytes", "dns: request too long");
	refused(write(fd, big, sizeof big), "64 kB", "dns: request too long");
	refused(pwrite(fd, "localhost ip", 12, 1), "pwrite", "dns: writing at non-zero offset");
	good(translate("tcp!127.1!7", reply, sizeof reply), "cs");
	same(reply, "/net/tcp/clone 127.1!7", "cs");
}

/* the first word of a conversation's status */
static NOINLINE void
state(const char *dir, const char *want)
{
	char buf[64], *end;
	int n, fd = netfile(dir, "status", OREAD);

	n = read(fd, buf, sizeof buf - 1);
	good(n, "status");
	buf[n] = 0;
	end = strchr(buf, ' ');
	if (end != nil)
		*end = 0;
	same(buf, want, dir);
	close(fd);
}

/* a conversation from the announcement to its end, as both ends see it */
static void
net_call(void)
{
	char there[NETPATH], here[NETPATH], taken[NETPATH], num[16];
	int announced, ctl, data, theirs, fd, i, n;

	neednet();
	announced = converse("announce", "tcp!*!8090", there);
	good(announced, "announce");
	state(there, "Listen");
	refused(write(announced, "announce 8091", 13), "announce", "connection in use");
	refused(write(announced, "connect 127.0.0.1!8090", 22), "connect", "connection in use");
	fd = open("/net/tcp/clone", ORDWR);
	refused(write(fd, "announce *!8090", 15), "announce", "address in use");
	ctl = converse("connect", "tcp!127.0.0.1!8090", here);
	good(ctl, "connect");
	refused(netfile(here, "listen", ORDWR), "listen", (snprint(taken, sizeof taken, "'%s/listen' not announced", here), taken));
	data = netfile(here, "data", ORDWR);
	good(data, "data");
	theirs = netfile(there, "listen", ORDWR);
	good(theirs, "listen");
	n = pread(theirs, num, sizeof num - 1, 0);
	good(n, "ctl");
	num[n] = 0;
	strcpy(taken, there);
	strcpy(strrchr(taken, '/') + 1, num);
	fd = netfile(taken, "data", ORDWR);
	good(fd, "data");
	state(here, "Established");
	state(taken, "Established");
	good(write(ctl, "keepalive 1000", 14), "keepalive");
	message(data, "question");
	expect(fd, "question");
	close(data);
	close(ctl);
	state(here, "Finwait2");
	state(taken, "Close_wait");
	for (i = 0; i < 3; i++)
		equal(read(fd, num, sizeof num), 0, "bytes at the end");
	refused(read(fd, num, sizeof num), "read past the end", "i/o on hungup channel");
	close(fd);
	close(theirs);
	state(here, "Time_wait");
	sleep(11000);
	state(here, "Closed");
	good(write(announced, "hangup", 6), "hangup");
	refused(netfile(there, "listen", ORDWR), "listen", (snprint(taken, sizeof taken, "'%s/listen' listen hungup", there), taken));
}
