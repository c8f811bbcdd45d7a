"""All that a library's SFTP client can do, once, with one line for each result: run it twice and compare.

Arguments: paramiko or asyncssh, host, port, user, private key.
"""
import asyncio
import hashlib
import stat
import sys
import warnings

warnings.simplefilter("ignore")
library, host, port, user, identity = sys.argv[1:]
data = hashlib.sha256(b"tour").digest() * 20000


def say(what, result):
    print(what, "->", result)


def attempt(what, run):
    try:
        result = run()
    except Exception as error:  # what kind of error is the result
        result = "error " + (type(error).__name__ if not isinstance(error, OSError) else "OSError")
    say(what, result)


def shape(attributes):
    return [stat.S_IFMT(attributes.st_mode), attributes.st_size if stat.S_ISREG(attributes.st_mode) else 0]


def tour_paramiko():
    import paramiko

    transport = paramiko.Transport((host, int(port)))
    transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(identity))
    sftp = transport.open_sftp_client()

    def put(path, content, mode="wb"):
        with sftp.open(path, mode) as file:
            file.write(content)
        return sftp.stat(path).st_size

    def get(path):
        with sftp.open(path, "rb") as file:
            file.prefetch()
            return hashlib.sha256(file.read()).hexdigest()

    def part(path):
        with sftp.open(path, "rb") as file:
            file.seek(100_000)
            return hashlib.sha256(file.read(70_000)).hexdigest()

    attempt("normalize", lambda: sftp.normalize("."))
    attempt("chdir", lambda: sftp.chdir("/data"))
    attempt("mkdir", lambda: sftp.mkdir("p"))
    attempt("mkdir again", lambda: sftp.mkdir("p"))
    attempt("put", lambda: put("p/big", data))
    attempt("get", lambda: get("p/big"))
    attempt("part", lambda: part("p/big"))
    attempt("append", lambda: put("p/big", b"more", "ab"))
    attempt("exclusive", lambda: put("p/big", b"x", "xb"))
    attempt("sparse", lambda: sftp.open("p/sparse", "wb").truncate(1_000_000))
    attempt("truncate", lambda: sftp.truncate("p/big", 5000))
    attempt("chmod", lambda: sftp.chmod("p/big", 0o640))
    attempt("utime", lambda: sftp.utime("p/big", (1000, 2000)))
    attempt("times", lambda: sftp.stat("p/big").st_mtime)
    attempt("symlink", lambda: sftp.symlink("big", "p/link"))
    attempt("symlink absolute", lambda: sftp.symlink("/data/p/big", "p/absolute"))
    attempt("symlink nowhere", lambda: sftp.symlink("none", "p/dangling"))
    attempt("readlink", lambda: [sftp.readlink("p/link"), sftp.readlink("p/absolute"), sftp.readlink("p/dangling")])
    attempt("stat through links", lambda: [shape(sftp.stat("p/link")), shape(sftp.stat("p/absolute"))])
    attempt("lstat", lambda: shape(sftp.lstat("p/link")))
    attempt("stat dangling", lambda: sftp.stat("p/dangling"))
    attempt("normalize links", lambda: [sftp.normalize("p/link"), sftp.normalize("p/absolute"), sftp.normalize("p/../p/./link")])
    attempt("list", lambda: sorted((each.filename, stat.S_IFMT(each.st_mode)) for each in sftp.listdir_attr("p")))
    attempt("rename over", lambda: sftp.rename("p/sparse", "p/big"))
    attempt("posix rename over", lambda: sftp.posix_rename("p/sparse", "p/moved"))
    attempt("rename folder", lambda: sftp.rename("p", "q"))
    attempt("through a folder that moved", lambda: get("q/link"))
    attempt("chdir", lambda: (sftp.chdir("q"), sftp.getcwd(), sorted(sftp.listdir()))[1:])
    attempt("up", lambda: (sftp.chdir(".."), sftp.getcwd())[1])
    attempt("above", lambda: sorted(sftp.listdir("/../../..")))
    attempt("rmdir full", lambda: sftp.rmdir("q"))
    attempt("remove folder", lambda: sftp.remove("q"))
    attempt("open folder", lambda: get("q"))
    attempt("missing", lambda: get("none/none"))
    attempt("through a file", lambda: get("q/big/x"))
    attempt("remove", lambda: [sftp.remove("q/" + name) for name in ("dangling",)])
    transport.close()


async def tour_asyncssh():
    import asyncssh

    async def attempt_async(what, run):
        try:
            result = await run()
        except Exception as error:
            result = "error " + type(error).__name__
        say(what, result)

    async with asyncssh.connect(host, int(port), username=user, client_keys=[identity], known_hosts=None, config=None) as connection:
        async with connection.start_sftp_client() as sftp:
            async def put(path, content, mode="wb"):
                async with sftp.open(path, mode) as file:
                    await file.write(content)
                return (await sftp.stat(path)).size

            async def get(path):
                async with sftp.open(path, "rb") as file:
                    return hashlib.sha256(await file.read()).hexdigest()

            async def several(*waits):
                return [await each for each in waits]

            async def kind(wait):
                return stat.S_IFMT((await wait).permissions)

            await attempt_async("realpath", lambda: sftp.realpath("."))
            await attempt_async("chdir", lambda: sftp.chdir("/data"))
            await attempt_async("makedirs", lambda: sftp.makedirs("a/b/c"))
            await attempt_async("put", lambda: put("a/b/big", data))
            await attempt_async("get", lambda: get("a/b/big"))
            await attempt_async("symlink", lambda: sftp.symlink("../b/big", "a/b/link"))
            await attempt_async("symlink absolute", lambda: sftp.symlink("/data/a/b/big", "a/absolute"))
            await attempt_async("readlink", lambda: several(sftp.readlink("a/b/link"), sftp.readlink("a/absolute")))
            await attempt_async("hardlink", lambda: sftp.link("a/b/big", "a/hard"))
            await attempt_async("posix rename", lambda: sftp.posix_rename("a/hard", "a/b/big2"))
            await attempt_async("rename", lambda: sftp.rename("a/b/big2", "a/b/big3"))
            await attempt_async("lexists", lambda: several(sftp.lexists("a/b/link"), sftp.exists("a/b/none")))
            await attempt_async("kinds", lambda: several(kind(sftp.lstat("a/b/link")), kind(sftp.stat("a/b/link"))))
            await attempt_async("setstat", lambda: sftp.chmod("a/b/big", 0o600))
            await attempt_async("utime", lambda: sftp.utime("a/b/big", (5, 6)))
            await attempt_async("glob", lambda: sftp.glob("a/b/b*"))
            await attempt_async("statvfs", lambda: kind_of_statvfs(sftp))
            await attempt_async("truncate", lambda: sftp.truncate("a/b/big3", 10))
            await attempt_async("list", lambda: listed(sftp, "a/b"))
            await attempt_async("rmtree", lambda: sftp.rmtree("a/b/c"))
            await attempt_async("above", lambda: listed(sftp, "/.."))
            await attempt_async("missing", lambda: get("none"))


async def kind_of_statvfs(sftp):
    return (await sftp.statvfs(".")).bsize > 0


async def listed(sftp, path):
    return sorted(await sftp.listdir(path))


if library == "paramiko":
    tour_paramiko()
else:
    asyncio.run(tour_asyncssh())
