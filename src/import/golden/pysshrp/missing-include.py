execfile('conf.d/nothing.py')
