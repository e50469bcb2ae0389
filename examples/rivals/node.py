"""One BitTorrent node by libtorrent's Python binding: seeds or gets one torrent, by TCP, from the peers given alone.

    node.py seed|get TORRENT FOLDER PORT [PEER_PORT]...

Prints "ready" when it holds the whole file; `get` then ends, `seed` goes on until it is killed.
"""

import sys

import libtorrent as lt

role, torrent, folder, port, *peers = sys.argv[1:]
status, error = lt.alert.category_t.status_notification, lt.alert.category_t.error_notification
session = lt.session({
    "listen_interfaces": f"127.0.0.1:{port}",
    "alert_mask": status | error,
    "allow_multiple_connections_per_ip": True,
    # Over loopback its uTP is ten times slower than its TCP.
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    # There is nobody else to be found.
    "enable_dht": False,
    "enable_lsd": False,
    "enable_natpmp": False,
    "enable_upnp": False,
})
what = lt.load_torrent_file(torrent)
what.save_path = folder
what.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
handle = session.add_torrent(what)

whole = False
while not whole or role == "seed":
    session.wait_for_alert(1000)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_checked_alert):
            for peer in peers:
                handle.connect_peer(("127.0.0.1", int(peer)))
        elif isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
            sys.exit(alert.message())
        elif isinstance(alert, lt.torrent_finished_alert):
            whole = True
            print("ready", flush=True)
