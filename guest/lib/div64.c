/* Division of 64-bit numbers, which the compiler calls by these names. */

#include "guest.h"

uvlong __udivdi3(uvlong n, uvlong d);
uvlong __umoddi3(uvlong n, uvlong d);
vlong __divdi3(vlong n, vlong d);
vlong __moddi3(vlong n, vlong d);

/* a divisor of more than 32 bits goes bit by bit: the quotient has at most 32 */
static uvlong
divide(uvlong n, uvlong d, uvlong *rest)
{
	uvlong q = 0;
	uint r;
	int i;

	if (d >> 32 == 0) {
		q = udiv64(n, d, &r);
		*rest = r;
		return q;
	}
	for (i = __builtin_clz(d >> 32); i >= 0; i--) {
		q <<= 1;
		if (n >= d << i) {
			n -= d << i;
			q |= 1;
		}
	}
	*rest = n;
	return q;
}

uvlong
__udivdi3(uvlong n, uvlong d)
{
	uvlong rest;

	return divide(n, d, &rest);
}

uvlong
__umoddi3(uvlong n, uvlong d)
{
	uvlong rest;

	divide(n, d, &rest);
	return rest;
}

vlong
__divdi3(vlong n, vlong d)
{
	uvlong q = __udivdi3(n < 0 ? -n : n, d < 0 ? -d : d);

	return (n < 0) != (d < 0) ? -q : q;
}

vlong
__moddi3(vlong n, vlong d)
{
	uvlong rest = __umoddi3(n < 0 ? -n : n, d < 0 ? -d : d);

	return n < 0 ? -rest : rest;
}
