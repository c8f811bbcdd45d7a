# back again
execfile('../circle.py')
