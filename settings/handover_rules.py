"""Rules on planned switchovers: a token is for the region that takes over, and has what that region needs."""

from __future__ import annotations

from settings.handover import Token, parse
from settings.mistake import Mistake
from settings.model import Settings
from settings.roles import peer_of
from settings.rule import Mistakes, Rule


def a_token_is_for_the_region_that_takes_over(settings: Settings) -> Mistakes:
    told, role = parse(settings.handover) if settings.handover else None, settings.role
    if not isinstance(told, Token):
        return
    if told.given_by == role:
        yield Mistake(
            f"is this region's own token, which is for the other stack; run: pulumi config set handover planned -s {role}, and: "
            f'pulumi config set handover "$(pulumi stack output handover -s {role})" -s {peer_of(role)}'
        )


def a_token_is_used(settings: Settings) -> Mistakes:
    """One that is left of an earlier switchover must not keep anybody from fencing this region."""
    told, role = parse(settings.handover) if settings.handover else None, settings.role
    if isinstance(told, Token) and told.given_by != role and settings.serving_role != role:
        yield Mistake(
            "is a token, by which this region would take over, and active is {}, so nothing reads it; if it shall take over: "
            f"pulumi config set active {role} -s {role}; else: pulumi config rm handover -s {role}",
            settings.serving_role,
        )


def files_come_along(settings: Settings) -> Mistakes:
    """The last backups are taken once everything has stopped."""
    for place, rule in enumerate(settings.velero.volumes if settings.handover_now == "planned" else ()):
        if rule.action == "fs-backup":
            yield Mistake(
                f"is planned, and velero.volumes[{place}].action is {{}}, which reads files through running Pods: a region that "
                "gives up in good order has stopped them, so its last backups would lack these volumes; write action: snapshot "
                "where the driver takes snapshots, or action: skip where something else copies the files (as Amazon EFS does)",
                rule.action,
            )


def users_are_held_by_the_stack_that_moves_them(settings: Settings) -> Mistakes:
    if settings.hold and settings.role == "primary":
        yield Mistake("is read by stack secondary alone, which moves the traffic; run: pulumi config set hold true -s secondary")


def only_old_archives_are_given_up(settings: Settings) -> Mistakes:
    """What runs under its present name is not given up, whatever else is meant."""
    role = settings.role
    if settings.rejoin is None:
        return
    known = {database.name: database for database in settings.databases}
    for server in sorted(settings.given_up):
        name, _, generation = server.rpartition("-g")
        member = name.removesuffix(f"-{role}")
        if member == name or member not in known:
            yield Mistake(f"{{}} is no archive of this region's databases; write one as in NAME-{role}-g1", server)
        elif int(generation) >= known[member].generations.of(role):
            place = [*known].index(member)
            yield Mistake(
                f"{{}} is the archive that database {{}} writes or would write; raise its generation, in Pulumi.yaml: "
                f"databases[{place}].generations.{role}: {int(generation) + 1}",
                server,
                member,
            )


RULES: tuple[Rule, ...] = (
    Rule(key="handover", mistakes=a_token_is_for_the_region_that_takes_over),
    Rule(key="handover", mistakes=files_come_along),
    Rule(key="rejoin", mistakes=only_old_archives_are_given_up),
)


def rules_are_turned_round(settings: Settings) -> Mistakes:
    moves_back = settings.handover_now == "planned" if settings.role == "secondary" else settings.token is not None
    if moves_back and settings.velero.modifiers and not settings.velero.modifiers_back:
        yield Mistake(
            "is set, and velero.modifiersBack is not: objects come back into the primary region as the secondary has them; where "
            "these rules have to be turned round, write the rules that do so to modifiersBack"
        )


ADVICE: tuple[Rule, ...] = (
    Rule(key="handover", mistakes=a_token_is_used),
    Rule(key="hold", mistakes=users_are_held_by_the_stack_that_moves_them),
    Rule(key="velero.modifiers", mistakes=rules_are_turned_round),
)
