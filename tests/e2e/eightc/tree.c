/* A tree of calls, and a child that writes its parent's memory. */
enum { RFMEM = 1<<5, RFPROC = 1<<4 };

int	rfork(int);
void	exits(char*);

int	level;

int
leaf(int n)
{
	level = n;
	return n*n;
}

int
grow(int n)
{
	if(n == 0)
		return 0;
	return leaf(n) + grow(n-1);
}

void
start(void)
{
	if(rfork(RFPROC|RFMEM) == 0){
		level = 7;
		exits(0);
	}
	exits(grow(3) == 14 ? 0 : "wrong");
}
