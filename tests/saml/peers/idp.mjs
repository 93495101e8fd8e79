// An identity provider: samlify, whose signatures are made in JavaScript.
//
//   idp.mjs FOLDER metadata           prints its own metadata
//   idp.mjs FOLDER answer WHAT URL    prints the answer to the request in URL, in base64
//
// FOLDER has its `idp.key` and `idp.crt`, and for an answer the metadata of the service, `sp.xml`.
// WHAT is signed: `assertion`, `response` or `both`.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import samlify from "samlify";

const [folder, act, what, url] = process.argv.slice(2);
const file = (name) => readFileSync(join(folder, name), "utf8");
const ENTITY_ID = "https://samlify.example.org/metadata";
const REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const UNSPECIFIED = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified";

// The service's request is read as it is; its schema is not what is tried here.
samlify.setSchemaValidator({ validate: async () => "not validated" });

const { context } = samlify.SamlLib.defaultLoginResponseTemplate;
const idp = samlify.IdentityProvider({
  entityID: ENTITY_ID,
  privateKey: file("idp.key"),
  signingCert: file("idp.crt"),
  nameIDFormat: ["urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"],
  singleSignOnService: [{ Binding: REDIRECT, Location: "https://samlify.example.org/sso" }],
  loginResponseTemplate: {
    context,
    attributes: [
      { name: "team", valueTag: "team", nameFormat: UNSPECIFIED, valueXsiType: "xs:string" },
    ],
  },
});

async function answer() {
  const metadata =
    what === "response"
      ? file("sp.xml").replace('WantAssertionsSigned="true"', 'WantAssertionsSigned="false"')
      : file("sp.xml");
  const sp = samlify.ServiceProvider({ metadata, wantMessageSigned: what !== "assertion" });
  const query = Object.fromEntries(new URL(url).searchParams);
  const request = await idp.parseLoginRequest(sp, "redirect", { query });
  const [now, end] = [0, 300_000].map((ms) => new Date(Date.now() + ms).toISOString());
  const [responseId, assertionId] = ["response", "assertion"].map((it) => `_${it}-${randomUUID()}`);
  const acs = sp.entityMeta.getAssertionConsumerService("post");
  const fill = (template) => ({
    id: responseId,
    context: samlify.SamlLib.replaceTagsByValue(template, {
      ID: responseId,
      AssertionID: assertionId,
      Destination: acs,
      SubjectRecipient: acs,
      Audience: sp.entityMeta.getEntityID(),
      Issuer: ENTITY_ID,
      IssueInstant: now,
      StatusCode: "urn:oasis:names:tc:SAML:2.0:status:Success",
      ConditionsNotBefore: now,
      ConditionsNotOnOrAfter: end,
      SubjectConfirmationDataNotOnOrAfter: end,
      NameIDFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
      NameID: "alice@example.org",
      InResponseTo: request.extract.request.id,
      attrTeam: "builders",
    }).replace(
      "{AuthnStatement}",
      `<saml:AuthnStatement AuthnInstant="${now}"><saml:AuthnContext><saml:AuthnContextClassRef>` +
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>" +
        "</saml:AuthnContext></saml:AuthnStatement>",
    ),
  });
  const made = await idp.createLoginResponse(sp, request, "post", {}, fill);
  return made.context;
}

console.log(act === "metadata" ? idp.getMetadata() : await answer());
