import os
servers = []
