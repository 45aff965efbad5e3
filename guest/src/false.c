/* false [MSG]: exits with the status MSG, "false" without. */

#include "guest.h"

const char *
main(int argc, char *argv[])
{
	return argc > 1 ? argv[1] : "false";
}
