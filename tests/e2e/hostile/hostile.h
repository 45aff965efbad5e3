/* Programs that want more than there is. Each case takes until it is refused, or so many times, and says how often. */

#include "guest.h"

typedef struct Case Case;
struct Case {
	const char *name;
	void (*f)(void);
};

extern const Case files[], ipc[], memory[], procs[];

enum { MANY = 30000 }; /* times a case tries where each time is cheap */

#define GB (1 << 30)

/* the reason of the last refusal, printed with how often the call had worked; there must be one */
void refused(const char *what, int n);
/* the same, where it may also never have been refused */
void ended(const char *what, int n);
/* a child that runs f and then sleeps until it is killed; its pid or -1 */
int child(int flags, void (*f)(void));
/* kill the children and wait for them */
void reap(void);
/* address space of n bytes that nothing is in */
char *space(uint n);
