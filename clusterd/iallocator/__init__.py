"""Iallocators: programs that choose nodes, Ganeti's protocol version 2, and the built-in one.

``requests`` is what is asked, ``data`` how it is written down for a program, ``answers`` how its
answer is read, ``builtin`` the allocator that comes with clusterd, ``moves`` what its moves are as
opcodes, ``live`` the cluster as placement sees it, ``choice`` how an opcode
declares that something is chosen for it.
"""
