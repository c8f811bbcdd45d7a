execfile('conf.d/circle.py')
