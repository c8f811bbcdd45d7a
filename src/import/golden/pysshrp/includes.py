execfile('conf.d/globals.py')
level = 'CRITICAL'
execfile("conf.d/"
         'servers.py')
