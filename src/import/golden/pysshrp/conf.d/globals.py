listen = ('0.0.0.0:'
          '2200')
level = 'DEBUG'
key = '../../key'
