TEXT	_main(SB), 1, $0
	CALL	start(SB)
	RET

TEXT	rfork(SB), 1, $0
	MOVL	$19, AX
	INT	$64
	RET

TEXT	exits(SB), 1, $0
	MOVL	$8, AX
	INT	$64
	RET
