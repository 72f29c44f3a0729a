# Completion of byway(1) for bash.
_byway()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word
	local commands="list show stats status connect listen kill run resolve"

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ " $commands " == *" $word "* ]] && { command=$word; break; }
	done
	case $prev in
	--socket) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	-s|--state) [ "$command" = connect ] || COMPREPLY=($(compgen -W "LISTEN SYN-SENT SYN-RECEIVED ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 \
		CLOSE-WAIT CLOSING LAST-ACK TIME-WAIT CLOSED UNCONN all connected synchronized" -- "$cur")); return ;;
	-o|--output) COMPREPLY=($(compgen -W "ID PROTO STATE RECV-Q SEND-Q LOCAL PEER UID PID PROCESS INODE" \
		-- "$cur")); return ;;
	esac
	case $command in
	'') COMPREPLY=($(compgen -W "$commands --socket --help --version" -- "$cur")) ;;
	list) COMPREPLY=($(compgen -W "--state --port --address --tcp --udp --output --json --raw --noheadings \
		--help" -- "$cur")) ;;
	show|kill) COMPREPLY=($(compgen -W "$(byway list --raw --noheadings --output ID 2>/dev/null)" -- "$cur")) ;;
	stats) COMPREPLY=($(compgen -W "link arp ip4 icmp udp tcp memory --nonzero --json --help" -- "$cur")) ;;
	status) COMPREPLY=($(compgen -W "--json --help" -- "$cur")) ;;
	connect) COMPREPLY=($(compgen -W "--udp --source --wait --help" -- "$cur")) ;;
	resolve) COMPREPLY=($(compgen -W "--help" -A hostname -- "$cur")) ;;
	run) COMPREPLY=($(compgen -W "--verbose --help" -c -- "$cur")) ;;
	listen) COMPREPLY=($(compgen -W "--udp --keep --help" -- "$cur")) ;;
	esac
}
complete -F _byway byway
