"""The tools that make and run the course: build of the chapters, command line, doctor.

``bootstrap`` and ``commands`` use the standard library only: they run before anything is installed,
so nothing is imported here.
"""
