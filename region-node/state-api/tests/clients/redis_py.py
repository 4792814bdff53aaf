"""redis-py against a port given as argument: connects, works, reads errors. Exits with 0 if all is as with Redis."""

import sys

import redis

port = int(sys.argv[1])

for protocol in (2, 3):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="shop")
    assert client.ping()
    assert client.set("k", "v", ex=100) and client.get("k") == "v"
    assert 90 <= client.ttl("k") <= 100
    assert client.set("k", "w", nx=True) is None
    assert client.set("k", "w", xx=True, get=True) == "v"
    assert client.mget("k", "nothing") == ["w", None]
    assert client.incrby("n", 5) == 5 and client.decr("n") == 4
    assert client.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert client.hgetall("h") == {"a": "1", "b": "2"}
    assert client.hincrby("h", "a", 4) == 5
    assert client.sadd("s", "x", "y") == 2 and client.smembers("s") == {"x", "y"}
    assert client.expire("h", 100) and client.persist("h")
    assert client.type("s") == "set"
    assert sorted(client.scan_iter(match="*", count=3)) == ["h", "k", "n", "s"]
    assert client.dbsize() == 4
    with client.pipeline(transaction=False) as pipe:
        pipe.incr("n").get("k").hget("h", "b")
        assert pipe.execute() == [5, "w", "2"]
    try:
        client.incr("s")
        raise AssertionError("a set was incremented")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error
    info = client.info()
    assert info["redis_version"].startswith("7.2.") and info["loading"] == 0
    assert client.client_getname() == "shop"
    assert any(peer["name"] == "shop" and peer["lib-name"].startswith("redis-py") for peer in client.client_list())
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.command_count() > 50
    assert client.delete("h", "k", "n", "s") == 4
    client.close()
