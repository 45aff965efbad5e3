%{
#include <u.h>
#include <libc.h>
#include "calc.h"

int	yylex(void);
void	yyerror(char*);
%}
%token NUM
%left '+' '-'
%%
lines:
|	lines expr '\n'	{ print("%d\n", $2); }

expr:
	NUM
|	expr '+' expr	{ $$ = $1 + $3; }
|	expr '-' expr	{ $$ = $1 - $3; }
%%
static int peeked = -1;

static int
next(void)
{
	char c;
	int n;

	if(peeked >= 0){
		n = peeked;
		peeked = -1;
		return n;
	}
	return read(0, &c, 1) == 1 ? c : 0;
}

int
yylex(void)
{
	int c;

	do
		c = next();
	while(c == ' ');
	if(c < '0' || c > '9')
		return c;
	for(yylval = 0; c >= '0' && c <= '9'; c = next())
		yylval = yylval * 10 + c - '0';
	peeked = c;
	return NUM;
}

void
yyerror(char *s)
{
	fprint(2, "calc: %s\n", s);
	exits(s);
}
