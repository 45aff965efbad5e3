#include <u.h>
#include <libc.h>
#include "calc.h"

void
main(void)
{
	greet("calc");
	yyparse();
	exits(nil);
}
