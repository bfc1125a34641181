"""Who gets into a merchant's portal: its members, and whoever has a one-time link."""

from config.api.openapi.areas.endpoint_fields import PAGING
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import an_id, choice, flag, moment, or_null, page_of, record, ref, request, text
from dispatcher.ids import Prefix
from subscriptions.models import Membership, PortalLink
from subscriptions.services import members, portal_links

MEMBER = record(
    {
        "id": an_id(Prefix.MEMBERSHIP),
        "user": text("ann@shop.example", "The name that they log in with; the address does as well."),
        "email": or_null(text("ann@shop.example")),
        "role": choice(Membership.Role.values),
        "invited": flag("Whether they have yet to choose a password."),
        "created_at": moment(),
        "updated_at": moment(),
    }
)
LINK = record(
    {
        "id": an_id(Prefix.PORTAL_LINK, "As the audit log names it, and whoever comes in by it."),
        "url": text("https://webhooks.example/portal/enter/…", "Good once. Shown this once."),
        "access": choice(PortalLink.Access.values),
        "expires_at": moment("Until when it can be opened. Whoever came in stays for 8 hours."),
    }
)
_ROLES = "`owner`: also the team. `developer`: endpoints and keys. `viewer`: looks only."
ONE = "/api/v2/merchants/{merchant}"

AREA = Area(
    name="Portal",
    description="The provider's routes that let people into a merchant's portal.",
    schemas={
        "NewPortalLink": request(
            portal_links.NEW,
            say={
                "expires_in": f"Seconds; {portal_links.DEFAULT_S} if absent.",
                "access": "`full`, if absent: what a developer may do. `read_only`: what a viewer may.",
            },
        ),
        "PortalLink": LINK,
        "NewMember": request(members.ADDED, required=("email", "role"), say={"role": _ROLES}),
        "MemberChanges": request(members.CHANGES, required=("role",), say={"role": _ROLES}),
        "Member": MEMBER,
        "MemberPage": page_of(ref("Member")),
    },
    operations={
        f"POST {ONE}/portal-links": Operation(
            id="createPortalLink",
            summary="A link that lets whoever opens it into the merchant's portal, once",
            description="For your own pages: make it when somebody whom you know asks for it, and send them there.",
            body=Body(
                schema=ref("NewPortalLink"),
                examples={"for an hour": {}, "to look": {"expires_in": 600, "access": "read_only"}},
                is_optional=True,
            ),
            is_idempotent=True,
            answers={201: Answer(description="Made.", schema=ref("PortalLink"), headers=("Cache-Control",))},
        ),
        f"GET {ONE}/members": Operation(
            id="listMembers",
            summary="A merchant's members, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("MemberPage"))},
        ),
        f"POST {ONE}/members": Operation(
            id="addMember",
            summary="A new member; somebody unknown is invited by e-mail to choose a password",
            body=Body(
                schema=ref("NewMember"),
                examples={"a developer": {"email": "ann@shop.example", "role": "developer"}},
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Added.",
                    schema=ref("Member"),
                    headers=("Location",),
                    gives={"merchant": "$request.path.merchant", "member": "$response.body#/id"},
                )
            },
            refusals={409: ("is_member", "too_many_members", "channel_unavailable")},
        ),
        f"PATCH {ONE}/members/{{member}}": Operation(
            id="changeMember",
            summary="Another role",
            body=Body(schema=ref("MemberChanges"), examples={"an owner": {"role": "owner"}}),
            answers={200: Answer(description="As it is now.", schema=ref("Member"))},
            refusals={409: ("last_owner",)},
        ),
        f"DELETE {ONE}/members/{{member}}": Operation(
            id="removeMember",
            summary="Remove a member, who keeps the login",
            answers={204: Answer(description="They see nothing of this merchant any more.")},
            refusals={409: ("last_owner",)},
        ),
    },
)
