/* What of the library no bundled guest uses: the division of 64-bit numbers, malloc and its kin. */

#include "guest.h"
static int bad;
static void is(vlong a, vlong b, const char *what) { if (a != b) { print("%s: %lld != %lld\n", what, a, b); bad++; } }
char *main(int argc, char *argv[])
{
	volatile uvlong n = 0x123456789abcdef0ull, d = 0x1234567890ull, one = argc;
	volatile vlong m = -1000000000007ll, e = 10000000019ll;
	uint i, seed = 1; uchar *p[64] = {0}; uint size[64] = {0};
	(void)argv;
	is(n / d, 0x123456789abcdef0ll / 0x1234567890ll, "div"); is(n % d, 0x123456789abcdef0ll % 0x1234567890ll, "mod");
	is(m / e, -99, "sdiv"); is(m % e, -1000000000007ll + 99 * 10000000019ll, "smod"); is(m / (vlong)one, m, "one");
	is(-1ull / (one << 63), 1, "top"); is(n / 7, 0x123456789abcdef0ll / 7, "7");is(n/(one<<32),0x12345678,"32");
	for (i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		uint k = seed >> 26, j;
		if (p[k] && (seed & 0x100)) {
			for (j = 0; j < size[k]; j++) if (p[k][j] != k) return "damaged";
			free(p[k]); p[k] = nil;
		} else if (p[k] == nil || (seed & 0x200)) {
			uint new = (seed >> 8) & 0x3ff;
			p[k] = realloc(p[k], new);
			if (p[k] == nil) return "no memory";
			memset(p[k], k, new);
			size[k] = new;
		}
	}
	if (malloc(0xf0000000u) != nil || malloc(-1) != nil) return "too much";
	if ((uint)sbrk(0) > 0x80000)
		return "freed memory is not used again";
	return bad ? "bad" : nil;
}
