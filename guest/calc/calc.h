int greet(char*);
int yyparse(void);
