"""An identity provider: pysaml2, whose signatures are made by xmlsec1.

    idp.py FOLDER metadata               prints its own metadata
    idp.py FOLDER answer WHAT URL        prints the answer to the request in URL, as XML

FOLDER has its `idp.key` and `idp.crt`, and for an answer the metadata of the service, `sp.xml`.
WHAT is signed: `assertion`, `response` or `both`. `sha1` signs the assertion as pysaml2 does when it is
not told how; `encrypted` encrypts it, for its own key in lack of another.
"""

import datetime
import pathlib
import shutil
import sys
from urllib.parse import parse_qs, urlsplit

from saml2 import BINDING_HTTP_REDIRECT, saml, xmldsig
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.server import Server
from saml2.sigver import read_cert_from_file

ENTITY_ID = "https://pysaml2.example.org/metadata"


def config(folder, with_service):
    settings = {
        "entityid": ENTITY_ID,
        "xmlsec_binary": shutil.which("xmlsec1"),
        "key_file": str(folder / "idp.key"),
        "cert_file": str(folder / "idp.crt"),
        "service": {
            "idp": {
                "endpoints": {
                    "single_sign_on_service": [
                        ("https://pysaml2.example.org/sso", BINDING_HTTP_REDIRECT)
                    ]
                },
                "policy": {
                    "default": {
                        "lifetime": {"minutes": 5},
                        "attribute_restrictions": None,
                        "name_form": saml.NAME_FORMAT_URI,
                    }
                },
            }
        },
    }
    if with_service:
        settings["metadata"] = {"local": [str(folder / "sp.xml")]}
    return IdPConfig().load(settings)


def answer(folder, what, url):
    server = Server(config=config(folder, True))
    [message] = parse_qs(urlsplit(url).query)["SAMLRequest"]
    request = server.parse_authn_request(message, BINDING_HTTP_REDIRECT)
    arguments = server.response_args(request.message)
    hashes = {}
    if what != "sha1":
        hashes = {"sign_alg": xmldsig.SIG_RSA_SHA256, "digest_alg": xmldsig.DIGEST_SHA256}
    # An hour, in UTC as pysaml2 writes it.
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return server.create_authn_response(
        identity={
            "mail": ["alice@example.org"],
            "eduPersonAffiliation": ["builders", "admins & owners"],
        },
        in_response_to=arguments["in_response_to"],
        destination=arguments["destination"],
        sp_entity_id=arguments["sp_entity_id"],
        name_id=saml.NameID(format=saml.NAMEID_FORMAT_PERSISTENT, text="alice"),
        authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": ENTITY_ID},
        session_not_on_or_after=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        sign_response=what in ("response", "both"),
        sign_assertion=what in ("assertion", "both", "sha1", "encrypted"),
        encrypt_assertion=what == "encrypted",
        encrypt_cert_assertion=read_cert_from_file(str(folder / "idp.crt")),
        **hashes,
    )


def main():
    folder, act = pathlib.Path(sys.argv[1]), sys.argv[2]
    if act == "metadata":
        print(entity_descriptor(config(folder, False)))
    else:
        print(answer(folder, *sys.argv[3:]))


main()
